-- include: ending.lua
-- refuse: an id on a list that cannot be run goes to the failed registry with its reason.
--   ARGV[3] = queue   ARGV[4] = id   ARGV[5] = ttl, seconds   ARGV[6] = error, JSON   ARGV[7] = RQ's exc_string, encoded
-- Returns 1, or 0 when it is no longer on the list.
local q, id, ttl = ARGV[3], ARGV[4], tonumber(ARGV[5])
local now = now_us()
if redis.call('LREM', list_key(q), 1, id) == 0 then return 0 end
local key = job_key(id)
if redis.call('TYPE', key).ok == 'hash' then
  redis.call('HDEL', key, 'iq_pos')
  redis.call('HSET', key, 'iq_error', ARGV[6], 'origin', q)
  finish(q, id, 'failed', ttl, now)
  redis.call('XADD', RQ .. ':results:' .. id, 'MAXLEN', '10', '*', 'type', '2', 'worker_name', '', 'exc_string', ARGV[7])
  redis.call('EXPIRE', RQ .. ':results:' .. id, ttl)
else
  -- No hash to write on: a key of that name has another type, or there is none.
  redis.call('HSET', OWN .. ':unreadable', id, ARGV[6])
  redis.call('EXPIRE', OWN .. ':unreadable', ttl)
end
return 1
