-- include: flight.lua
-- revive: a failed, cancelled or waiting job is queued again, with all its attempts before it.
--   ARGV[3] = id   ARGV[4] = priority to queue it at ('' = as before)
--   ARGV[5] = 1 when a person decided it: what its deliveries until now left in doubt is no reason any more to hold it back
--     (iq_cleared, the latest of them)
--   ARGV[6] = reason that it still has to wait for ('' = any state): whoever looked before may be too late
-- Also changes the priority of a queued job.
-- Returns 'joined' when a call under way or a stored result will answer it, else the status it had; it is queued now if that
-- was failed, canceled, stopped, scheduled or deferred, or if it was queued and a priority was given; '' = there is no such job.
local id, priority = ARGV[3], ARGV[4]
local status = status_of(id)
if not status then return '' end
local key = job_key(id)
local function waits_for(reason)
  local fine, why = pcall(cjson.decode, hget(key, 'iq_wait') or '')
  return status == 'deferred' and fine and type(why) == 'table' and why.reason == reason
end
if (ARGV[6] or '') ~= '' and not waits_for(ARGV[6]) then return status end
local q = hget(key, 'origin') or ''
local tenant = hget(key, 'iq_tenant') or 'default'
local to = priority == '' and q or string.gsub(q, '%.[^.]*$', '') .. '.' .. priority
if status == 'queued' then
  if to == q then return status end
  leave(q, id, tenant)
elseif status == 'failed' or status == 'canceled' or status == 'stopped' or status == 'scheduled' or status == 'deferred' then
  local registry = status == 'stopped' and 'failed' or status
  redis.call('ZREM', registry_key(registry, q), id)
  if ARGV[5] == '1' then redis.call('HSET', key, 'iq_cleared', whole(counted(key, 'iq_deliveries') or 0)) end
  redis.call('HDEL', key, 'iq_error', 'iq_cancel', 'iq_tries', 'iq_crashes', 'iq_deadline', 'ended_at')
  redis.call('PERSIST', key)
  local form = hget(key, 'iq_form')
  if form then unfollow(form, id) end
else
  return status
end
local became = ready(to, id, tenant, age_of(key, now_us()), false)
announce(id, became == 'queued' and 'queued' or 'waiting')
return became == 'queued' and status or 'joined'
