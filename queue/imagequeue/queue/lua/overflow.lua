-- include: working.lua
-- overflow.lua: where queued jobs may go while the pools of their own model do not serve them; part of claim.lua.
-- Jobs with such a way stand in a line beside the first (aside in place.lua), so that they are found without a search
-- behind jobs that have none. On RQ's list each stands where it was enqueued, until it is claimed.
-- A pool is shut while it is suspended, paused, or waits for its probe. A pool that was refused is on trial until it has
-- worked for a while (TRUST_US in pace.lua): meanwhile one job with a way out is tried on it every TRIAL_US.
-- Pool fields: opened_at (when the last probe was given), trust_us (how long the trial is), trial_at.
local TRIAL_US = 1000000
local BUDGET = 'budget: ' -- what a suspension for want of money begins with (budget.py)

local function is_shut(state) return state.suspended or state.paused_until > 0 or state.probe_until > now end

local function is_on_trial(state)
  return state.opened_at > 0 and now >= state.opened_at and now - state.opened_at < state.trust_us
end

local function org_of(name) return string.match(name, '^[^|]*') end

local function serves(pool, model)
  for _, name in ipairs(pool.models or {}) do
    if name == model then return true end
  end
  return false
end

local function has_way_out(id) return (hget(job_key(id), 'iq_overflow') or '') ~= '' end

-- Whether nobody waits for this pool: its own jobs come first.
local function is_idle(pool)
  for _, model in ipairs(pool.models or {}) do
    for priority in pairs(RANKS) do
      if redis.call('EXISTS', tenants_key(model .. '.' .. priority)) == 1 then return false end
    end
  end
  return true
end

-- The first model of the job's overflow whose pool has room now: the pool's index and the tokens of the call; else nil and
-- the microseconds until the first of them may have, nil for none.
local function way_out(state, home, id, n)
  local tried, soon = {}, nil
  for model, written in string.gmatch(hget(job_key(id), 'iq_overflow') or '', '([^ ,]+) (%d+)') do
    local tokens = math.min(tonumber(written), TOKENS_MAX)
    for index, pool in ipairs(pools) do
      local other = states[index]
      local poor = string.sub(state.reason, 1, #BUDGET) == BUDGET and org_of(pool.name) == org_of(state.name)
      if not tried[index] and not poor and serves(pool, model) and not serves(pool, home) then
        tried[index] = true
        local due = not other.suspended and math.max(other.paused_until, other.probe_until) - now
        if due and due <= 0 and is_idle(pool) then
          due = start_wait(pool, other, n, tokens)
          if due <= 0 then return index, tokens end
        end
        if due and due > 0 then soon = math.min(soon or due, due) end
      end
    end
  end
  return nil, soon
end

-- Whether none of the pools that serve a model does so now.
local function is_home_shut(model)
  for index, pool in ipairs(pools) do
    if serves(pool, model) and not is_shut(states[index]) then return false end
  end
  return true
end
