-- include: flight.lua
-- pace.lua: the arithmetic of a pool's pace, shared by the scripts that charge it.
-- GCRA (ITU-T I.371): the token bucket read as a theoretical arrival time, TAT.
local PROBE_CLAIM_US = 3000000 -- after a pause one job goes first; the others wait so long for it to be sent (permit shortens it)
-- Jobs with an overflow come back to a pool that was refused when it has worked for TRUST_US since; a refusal within
-- RELAPSE_US after that doubles the time, up to TRUST_US_MAX, and one that comes later makes it what it was.
local TRUST_US, TRUST_US_MAX, RELAPSE_US = 3000000, 60000000, 10000000
local RECOVERY_PER_US = 0.02 / 1000000 -- a lowered pace comes back by 2 % of the full one each second

-- The share of the pace that is used now, lowered to `factor` at `factor_at`.
local function factor_now(factor, factor_at, now)
  if factor >= 1 or factor_at == 0 then return factor end
  return math.min(1, factor + math.max(now - factor_at, 0) * RECOVERY_PER_US) -- the clock may have been set back
end

-- Microseconds until `weight` units may start in one dimension; 0 or less = now. A weight is charged whole: it starts when
-- the bucket holds it, or is full if it is more than the bucket. `late_us`: how far TAT may lie in the past, see claim.lua.
local function pace_wait(tat, unit_us, weight, burst_us, now, late_us)
  if unit_us <= 0 then return 0 end
  return math.max(tat, now - (late_us or 0)) - now - math.max(burst_us - weight * unit_us, 0)
end
