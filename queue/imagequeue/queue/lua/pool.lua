-- include: pace.lua
-- pool: the state of one pool is changed by what a call met, or by a person.
--   ARGV[3] = pool   ARGV[4] = refused, suspend or resume
--   refused: ARGV[5] = microseconds until the provider wants to hear from us again   ARGV[6] = reason
--   suspend: ARGV[5] = reason   ARGV[6] = microseconds it lasts (0 = until resumed)
-- A refusal while the pool ran at pace lowers its factor (additive increase in claim, multiplicative decrease here): the
-- true limit is lower than the known one. A refused probe only prolongs the pause.
-- Returns {paused_until_us, factor}.
local FACTOR_DECREASE, FACTOR_MIN = 0.8, 0.05
local AT_PACE_STARTS = 20        -- starts since the last pause from which on a refusal speaks of the pace
local AGAIN_US = 60 * 1000000    -- a single refusal is noise; a second one within this time is not
local pool, act = pool_key(ARGV[3]), ARGV[4]
local now = now_us()
drain_under_oom()
redis.call('SADD', OWN .. ':pools', ARGV[3])
local fields = redis.call('HMGET', pool, 'paused_until', 'factor', 'factor_at', 'since_resume', 'refused_at')
local paused_until = tonumber(fields[1] or '0')
local factor = factor_now(tonumber(fields[2] or '1'), tonumber(fields[3] or '0'), now)
if act == 'refused' then
  local last = tonumber(fields[5] or '0')
  if tonumber(fields[4] or '0') >= AT_PACE_STARTS and now - last < AGAIN_US and last > 0 then
    factor = math.max(factor * FACTOR_DECREASE, FACTOR_MIN)
  end
  paused_until = math.max(paused_until, now + tonumber(ARGV[5]))
  redis.call('HSET', pool, 'paused_until', whole(paused_until), 'pause_reason', ARGV[6], 'factor', string.format('%.6f', factor),
    'factor_at', whole(now), 'since_resume', '0', 'refused_at', whole(now), 'probe_until', '0')
  redis.call('HINCRBY', pool, 'refused', 1)
elseif act == 'suspend' then
  local before = redis.call('HMGET', pool, 'suspended', 'suspended_until')
  local for_good = before[1] and before[1] ~= '' and (before[2] or '0') == '0'
  if for_good and ARGV[6] ~= '0' then return {whole(paused_until), string.format('%.6f', factor)} end
  redis.call('HSET', pool, 'suspended', ARGV[5], 'suspended_at', whole(now),
    'suspended_until', ARGV[6] == '0' and '0' or whole(now + tonumber(ARGV[6])))
elseif act == 'resume' then
  redis.call('HDEL', pool, 'suspended', 'suspended_at', 'suspended_until', 'pause_reason')
  redis.call('HSET', pool, 'paused_until', '0', 'probe_until', '0', 'factor', '1')
  paused_until, factor = 0, 1
end
return {whole(paused_until), string.format('%.6f', factor)}
