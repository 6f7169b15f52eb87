-- include: pace.lua
-- working.lua: the pools of a claim's plan as it works with them: their state, their pace, the shares of priorities.
-- Part of claim.lua, which says what the plan and the fields of a pool are.
local plan, now = cjson.decode(ARGV[5]), now_us()
local pools, states = plan.pools or {}, {}
local LATE_US = 2000000 -- so much lateness of claims is made up for
local EARNED = -0.000001 -- owed so much, a lower priority goes first; sums of fractions are not exact

local function number(value, default) return tonumber(value or default) or default end

local function queued(q)
  local length = redis.pcall('LLEN', list_key(q))
  return type(length) == 'number' and length or 0
end

local function is_suspended(reason, ends)
  return reason and reason ~= '' and (ends == 0 or ends > now)
end

-- What a lower priority is owed of the pool, in images; see settle_shares.
local function owed_of(priority, stored)
  local share = number(plan.shares[priority], 0)
  return share > 0 and number(stored, share - 1) or -1
end

local function load(pool)
  local fields = redis.call('HMGET', pool_key(pool.name), 'image_tat', 'token_tat', 'paused_until', 'probe_until', 'factor',
    'factor_at', 'suspended', 'turn', 'owed_default', 'owed_low', 'starts', 'since_resume', 'round', 'suspended_until', 'limited',
    'opened_at', 'trust_us', 'trial_at')
  local factor = factor_now(number(fields[5], 1), number(fields[6], 0), now)
  return {image_tat = number(fields[1], 0), token_tat = number(fields[2], 0), paused_until = number(fields[3], 0),
    probe_until = number(fields[4], 0), factor = factor, suspended = is_suspended(fields[7], number(fields[14], 0)), turn = number(fields[8], 0),
    owed = {default = owed_of('default', fields[9]), low = owed_of('low', fields[10])}, starts = number(fields[11], 0),
    since_resume = number(fields[12], 0), round = number(fields[13], 0), late_us = fields[15] and LATE_US or 0,
    limited = fields[15], is_new = not fields[11], name = pool.name, reason = fields[7] or '',
    opened_at = number(fields[16], 0), trust_us = number(fields[17], TRUST_US), trial_at = number(fields[18], 0)}
end

local function start_wait(pool, state, n, tokens)
  return math.max(pace_wait(state.image_tat, pool.image_us / state.factor, n, pool.burst_us, now, state.late_us),
    pace_wait(state.token_tat, pool.token_us / state.factor, tokens, pool.burst_us, now, state.late_us))
end

local function charge(pool, state, n, tokens)
  state.served = true
  state.image_tat = math.max(state.image_tat, now - state.late_us) + n * pool.image_us / state.factor
  state.token_tat = math.max(state.token_tat, now - state.late_us) + tokens * pool.token_us / state.factor
  state.turn = state.turn + n / pool.weight
  state.starts, state.since_resume = state.starts + n, state.since_resume + n
  state.tokens = (state.tokens or 0) + tokens
end

-- Priorities in the order in which they are asked: a lower one that has earned its share goes first.
local function order_of(state)
  if state.owed.low >= EARNED then return {'low', 'high', 'default'} end
  if state.owed.default >= EARNED then return {'default', 'high', 'low'} end
  return {'high', 'default', 'low'}
end

-- While jobs of a lower priority wait, every image started in the pool earns them their share of it, and each of their own
-- costs a whole one: of N starts in a row, N times the share are theirs, rounded down. Nothing is saved up while none waits.
local function settle_shares(state, pool, priority, n)
  for _, lower in ipairs({'default', 'low'}) do
    local share = number(plan.shares[lower], 0)
    local owed = state.owed[lower] + n * share
    if lower == priority then owed = math.max(owed - n, (share - 1) * n) end -- what nobody else wanted is not held against it
    local waiting = false
    for _, q in ipairs(pool[lower] or {}) do waiting = waiting or queued(q) > 0 end
    state.owed[lower] = (share > 0 and waiting) and owed or math.min(owed, share - 1)
  end
end

-- The job that is given is the first after a pause, if there was one: the pool's probe.
local function open(state, id)
  if state.paused_until == 0 then return end
  state.paused_until, state.probe_until, state.since_resume = 0, now + PROBE_CLAIM_US, 0
  state.opened_at, state.trial_at = now, now
  redis.call('HSET', pool_key(state.name), 'probe', id)
end
