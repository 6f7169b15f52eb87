-- include: flight.lua
-- prioritize: a job that has not started goes on at another priority; how long it waits for a time or a person stays the same.
--   ARGV[3] = id   ARGV[4] = priority
-- Among the jobs of its new queue it stands by its age.
-- Returns the status it has; it was moved if that is queued, scheduled or deferred; '' = there is no such job.
local id, priority = ARGV[3], ARGV[4]
local status = status_of(id)
if not status then return '' end
local key = job_key(id)
local q = hget(key, 'origin') or ''
local to = string.gsub(q, '%.[^.]*$', '') .. '.' .. priority
if to == q then return status end
local now = now_us()
if status == 'queued' then
  local tenant = hget(key, 'iq_tenant') or 'default'
  leave(q, id, tenant)
  enter(to, id, tenant, age_of(key, now), false)
elseif status == 'scheduled' or status == 'deferred' then
  local score = redis.call('ZSCORE', registry_key(status, q), id)
  if score then
    redis.call('ZREM', registry_key(status, q), id)
    redis.call('SADD', RQ .. ':queues', list_key(to))
    redis.call('ZADD', registry_key(status, to), score, id)
    redis.call('HSET', key, 'origin', to)
  end
  local form = hget(key, 'iq_form')
  if form and redis.call('ZSCORE', joined_key(form), id) then
    redis.call('ZADD', joined_key(form), joined_score(to, tonumber(age_of(key, now))), id)
  end
end
return status
