-- include: pace.lua
-- switch: a claimed job that one pool refused moves to another at once, if that one has room now. It stays the same claim.
--   ARGV[3] = worker   ARGV[4] = id   ARGV[5] = delivery   ARGV[6] = pool   ARGV[7] = n   ARGV[8] = tokens
--   ARGV[9] = image_us   ARGV[10] = token_us   ARGV[11] = burst_us   (as in claim)
-- Returns 1 when the pool was charged, 0 when it has no room or is paused, -1 when the claim is somebody else's by now.
local worker, id, delivery, name = ARGV[3], ARGV[4], ARGV[5], ARGV[6]
local n, tokens = tonumber(ARGV[7]), tonumber(ARGV[8])
local image_us, token_us, burst_us = tonumber(ARGV[9]), tonumber(ARGV[10]), tonumber(ARGV[11])
local now = now_us()
local claim = redis.call('HGET', claims_key(worker), id)
if not claim or string.match(claim, '^(%d+) ') ~= delivery then return -1 end
local pool = pool_key(name)
local fields = redis.call('HMGET', pool, 'image_tat', 'token_tat', 'paused_until', 'probe_until', 'suspended', 'suspended_until',
  'factor', 'factor_at')
local paused_until = tonumber(fields[3] or '0')
if paused_until > now or tonumber(fields[4] or '0') > now then return 0 end
local suspended_until = tonumber(fields[6] or '0')
if fields[5] and fields[5] ~= '' and (suspended_until == 0 or suspended_until > now) then return 0 end
local factor = factor_now(tonumber(fields[7] or '1'), tonumber(fields[8] or '0'), now)
local image_tat = math.max(tonumber(fields[1] or '0'), now)
local token_tat = math.max(tonumber(fields[2] or '0'), now)
if pace_wait(image_tat, image_us / factor, n, burst_us, now) > 0 then return 0 end
if pace_wait(token_tat, token_us / factor, tokens, burst_us, now) > 0 then return 0 end
redis.call('SADD', OWN .. ':pools', name)
redis.call('HSET', pool, 'image_tat', whole(image_tat + n * image_us / factor),
  'token_tat', whole(token_tat + tokens * token_us / factor))
if paused_until > 0 then -- it is the first after a pause, as in claim
  redis.call('HSET', pool, 'paused_until', '0', 'probe_until', whole(now + PROBE_CLAIM_US), 'probe', id, 'since_resume', '0',
    'opened_at', whole(now), 'trial_at', whole(now))
end
redis.call('HINCRBY', pool, 'starts', n)
if tokens > 0 then redis.call('HINCRBY', pool, 'tokens', tokens) end
redis.call('HSET', job_key(id), 'iq_pool', name)
return 1
