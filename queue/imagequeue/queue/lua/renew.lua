-- include: clock.lua
-- renew: the worker lives; one call for all its claims, from a thread of its own.
--   ARGV[3] = worker   ARGV[4] = lease, microseconds   ARGV[5] = state for RQ (busy, idle or suspended)
--   ARGV[6] = queues, comma separated ('' = unchanged)   ARGV[7] = what keeps it from claiming ('' = nothing)
-- Returns 1, or 0 when the worker was given up for dead: its claims are others' now.
local GRACE_US = 3000000 -- within it every living worker has renewed: at most two seconds apart, with deadlines as short
-- A lease is renewed three times in its length and at least every two seconds; only a longer silence can end one.
local function silence_us(lease_us) return lease_us - 1.25 * math.min(lease_us / 3, 2000000) end
local worker, lease = ARGV[3], tonumber(ARGV[4])
local now = now_us()
drain_under_oom()
if not redis.call('ZSCORE', WORKERS, worker) then return 0 end
local heard = tonumber(redis.call('HGET', HEARD, 'at') or whole(now))
if now - heard > silence_us(lease) then
  -- Nobody was heard for so long that a lease of someone alive may have run out meanwhile: the server was away, not the
  -- workers. Each gets the time to say that it lives, before any is given up whose lease ended in the silence.
  local grace = math.min(lease / 2, GRACE_US)
  redis.call('SET', OWN .. ':grace', whole(heard), 'PX', math.ceil(grace / 1000))
elseif heard > now then
  set_back(now, heard - now)
end
redis.call('HSET', HEARD, 'at', whole(now), 'silence', whole(silence_us(lease)), 'lease', whole(lease))
redis.call('ZREM', WORKERS, worker)
redis.call('ZADD', WORKERS, whole(now + lease), worker)
local key = RQ .. ':worker:' .. worker
redis.call('HSET', key, 'last_heartbeat', iso(now), 'state', ARGV[5], 'iq_note', ARGV[7])
if ARGV[6] ~= '' then
  local before = hget(key, 'queues') or ''
  if before ~= ARGV[6] then
    for q in string.gmatch(before, '[^,]+') do redis.call('SREM', RQ .. ':workers:' .. q, key) end
  end
  redis.call('HSET', key, 'queues', ARGV[6])
  for q in string.gmatch(ARGV[6], '[^,]+') do redis.call('SADD', RQ .. ':workers:' .. q, key) end
end
redis.call('EXPIRE', key, math.ceil(lease / 1000000) * 4 + 60)
return 1
