-- include: pace.lua
-- pool: the state of one pool is changed by what a call met, or by a person.
--   ARGV[3] = pool   ARGV[4] = refused, pressed, troubled, suspend or resume
--   refused: ARGV[5] = microseconds until the provider wants to hear from us again   ARGV[6] = reason
--   suspend: ARGV[5] = reason   ARGV[6] = microseconds it lasts (0 = until resumed)
--   pressed: ARGV[5] = reason: an answer said that nearly nothing is left of the limit, although we keep below it
--   troubled: ARGV[5] = reason: a call brought no images and will be made again; noted for who asks, and nothing else
-- A refusal while the pool ran at pace speaks of the true limit, which is lower than the known one. The first is noise; the
-- second within AGAIN_US lowers the factor, which comes back within seconds (additive increase in pace.lua, multiplicative
-- decrease here); each further one lowers the learned share of the ceiling, which comes back over many minutes
-- (reported.py): <own>:learned, hash, pool -> {share, at (seconds), reason}. A refused probe only prolongs the pause.
-- Returns {paused_until_us, factor}.
local FACTOR_DECREASE, FACTOR_MIN = 0.8, 0.05
local SHARE_DECREASE, SHARE_MIN = 0.8, 0.01
local SHARE_RECOVERY_PER_SECOND = 0.1 / 60  -- of the share itself; the same figure as in reported.py
local AT_PACE_STARTS = 2         -- starts since the last pause from which on a refusal speaks of the pace: more than the probe
local AGAIN_US = 300 * 1000000   -- a single refusal is noise; a second one within this time is not
local PRESSED_US = 5 * 1000000   -- an answer that says so counts once in this time
local LEARNED = OWN .. ':learned'
local pool, act = pool_key(ARGV[3]), ARGV[4]
local now = now_us()
drain_under_oom()
redis.call('SADD', OWN .. ':pools', ARGV[3])
local fields = redis.call('HMGET', pool, 'paused_until', 'factor', 'factor_at', 'since_resume', 'refused_at', 'strikes',
  'pressed_at', 'opened_at', 'trust_us')
local paused_until = tonumber(fields[1] or '0')
local factor = factor_now(tonumber(fields[2] or '1'), tonumber(fields[3] or '0'), now)

local function lower_share(reason)
  local fine, known = pcall(cjson.decode, redis.call('HGET', LEARNED, ARGV[3]) or '')
  local share = 1
  if fine and tonumber(known.share) and tonumber(known.at) then
    share = math.min(1, known.share * (1 + SHARE_RECOVERY_PER_SECOND * math.max(now / 1000000 - known.at, 0)))
  end
  share = math.max(share * SHARE_DECREASE, SHARE_MIN)
  redis.call('HSET', LEARNED, ARGV[3], cjson.encode({share = share, at = math.floor(now / 1000000), reason = reason}))
end

-- The first refusal of a pause, if it comes soon after jobs with an overflow came back here: they stay away for longer.
local function trust_less(opened_at, trust_us)
  local trusted_us = now - opened_at - trust_us
  if trusted_us >= RELAPSE_US then
    redis.call('HDEL', pool, 'trust_us')
  elseif trusted_us >= 0 then
    redis.call('HSET', pool, 'trust_us', whole(math.min(trust_us * 2, TRUST_US_MAX)))
  end
end

-- paused_us: microseconds of all pauses, counted when they are asked for; what is still to come is in it, so that the
-- time paused until now is paused_us less the rest of the present pause.
local function count_pause(us)
  if us ~= 0 then redis.call('HINCRBY', pool, 'paused_us', whole(us)) end
end

-- What the organization's provider said it does not serve is tried again.
local function forget_gone(org)
  for _, field in ipairs(redis.call('HKEYS', OWN .. ':unserved')) do
    if string.sub(field, 1, #org + 1) == org .. '|' then redis.call('HDEL', OWN .. ':unserved', field) end
  end
end

if act == 'refused' then
  if paused_until == 0 then trust_less(tonumber(fields[8] or '0'), tonumber(fields[9] or whole(TRUST_US))) end
  local last, strikes = tonumber(fields[5] or '0'), tonumber(fields[6] or '0')
  if now - last >= AGAIN_US then strikes = 0 end
  if tonumber(fields[4] or '0') >= AT_PACE_STARTS then
    strikes = strikes + 1
    redis.call('HSET', pool, 'strikes', strikes)
    if strikes == 2 then factor = math.max(factor * FACTOR_DECREASE, FACTOR_MIN) end
    if strikes > 2 then lower_share(ARGV[6]) end
  end
  local longer_until = math.max(paused_until, now + tonumber(ARGV[5]))
  count_pause(longer_until - math.max(paused_until, now))
  paused_until = longer_until
  redis.call('HSET', pool, 'paused_until', whole(paused_until), 'pause_reason', ARGV[6], 'factor', string.format('%.6f', factor),
    'factor_at', whole(now), 'since_resume', '0', 'refused_at', whole(now), 'probe_until', '0')
  redis.call('HINCRBY', pool, 'refused', 1)
elseif act == 'suspend' then
  local before = redis.call('HMGET', pool, 'suspended', 'suspended_until')
  local for_good = before[1] and before[1] ~= '' and (before[2] or '0') == '0'
  if for_good and ARGV[6] ~= '0' then return {whole(paused_until), string.format('%.6f', factor)} end
  redis.call('HSET', pool, 'suspended', ARGV[5], 'suspended_at', whole(now),
    'suspended_until', ARGV[6] == '0' and '0' or whole(now + tonumber(ARGV[6])))
elseif act == 'pressed' then
  if now - tonumber(fields[7] or '0') >= PRESSED_US then
    factor = math.max(factor * FACTOR_DECREASE, FACTOR_MIN)
    redis.call('HSET', pool, 'factor', string.format('%.6f', factor), 'factor_at', whole(now), 'pressed_at', whole(now),
      'pressed_before', fields[7] or '0', 'pressed_reason', ARGV[5])
  end
elseif act == 'troubled' then
  redis.call('HSET', pool, 'trouble', ARGV[5], 'trouble_at', whole(now))
elseif act == 'resume' then
  redis.call('HDEL', LEARNED, ARGV[3])
  forget_gone(string.match(ARGV[3], '^[^|]*'))
  count_pause(-math.max(paused_until - now, 0))
  redis.call('HDEL', pool, 'suspended', 'suspended_at', 'suspended_until', 'pause_reason', 'trouble', 'trouble_at',
    'opened_at', 'trust_us')
  redis.call('HSET', pool, 'paused_until', '0', 'probe_until', '0', 'factor', '1', 'strikes', '0')
  paused_until, factor = 0, 1
end
return {whole(paused_until), string.format('%.6f', factor)}
