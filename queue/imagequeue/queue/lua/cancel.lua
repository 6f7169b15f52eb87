-- include: ending.lua
-- cancel: by a person or an app, at any stage.
--   ARGV[3] = id   ARGV[4] = ttl, seconds
-- Returns the status it had: queued, scheduled and deferred jobs are cancelled at once; a started one is cancelled unless its
-- call has been sent already (permit.lua asks), or when it comes back to its line; '' = there is no such job; any other = it had ended before.
local id, ttl = ARGV[3], tonumber(ARGV[4])
local status = status_of(id)
if not status then return '' end
local key = job_key(id)
local q = hget(key, 'origin') or ''
local now = now_us()
drain_under_oom()
if status == 'queued' then
  leave(q, id, hget(key, 'iq_tenant') or 'default')
elseif status == 'scheduled' or status == 'deferred' then
  redis.call('ZREM', registry_key(status, q), id)
elseif status == 'started' then
  redis.call('HSET', key, 'iq_cancel', '1')
  return status
else
  return status
end
finish(q, id, 'canceled', ttl, now)
return status
