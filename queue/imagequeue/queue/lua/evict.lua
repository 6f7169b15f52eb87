-- include: flight.lua
-- evict: a stored result whose images are gone is forgotten; a job that it should have answered takes another way.
--   ARGV[3] = form   ARGV[4] = the result as it was read: one that has been replaced since stays
--   ARGV[5] = id of a job that waits for it ('' = none)
-- Returns 1 when it was forgotten.
local form, seen, id = ARGV[3], ARGV[4], ARGV[5]
local now = now_us()
local gone = redis.call('GET', cache_key(form)) == seen and redis.call('DEL', cache_key(form)) or 0
if id ~= '' and status_of(id) == 'deferred' and hget(job_key(id), 'iq_follows') then
  local key = job_key(id)
  unfollow(form, id)
  ready(hget(key, 'origin') or '', id, hget(key, 'iq_tenant') or 'default', age_of(key, now), true)
end
look_after(form, now)
return gone
