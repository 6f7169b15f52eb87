-- include: pace.lua
-- permit: the last look before calls are sent: which of a worker's claimed jobs may be sent now, in one step for many.
--   ARGV[3] = worker   ARGV[4] = pool   ARGV[5] = microseconds one image takes at the provider's ceiling (0 = no ceiling)
--   ARGV[6] = burst, microseconds   ARGV[7..] = id, delivery, images of each job, first come first
-- A claim charges the working pace. Between it and the call lie the ledger's commit and whatever stalls a process, and what
-- was late comes out together. So every send of every worker is charged here again, against the ceiling itself.
-- Pool field: sent_tat. Of a pool that waits for its probe only the probe is sent; the others follow PROBE_US later.
-- Returns {microseconds until the first that has to wait may ask again (0 = none), answer for each job}, an answer being
-- 1 = send it, 0 = ask again, -1 = give it back: another's by now, cancelled, too late, or its pool is paused.
local PROBE_US = 1000000 -- a refusal comes faster
local worker, pool, unit_us, burst_us = ARGV[3], pool_key(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6])
local now = now_us()
drain_under_oom()
local fields = redis.call('HMGET', pool, 'sent_tat', 'factor', 'factor_at', 'paused_until', 'probe_until', 'probe', 'suspended',
  'suspended_until')
local tat = tonumber(fields[1] or '0')
unit_us = unit_us / factor_now(tonumber(fields[2] or '1'), tonumber(fields[3] or '0'), now)
local probe = tonumber(fields[5] or '0') > now and fields[6]
local suspended_until = tonumber(fields[8] or '0')
local closed = tonumber(fields[4] or '0') > now
  or (fields[7] and fields[7] ~= '' and (suspended_until == 0 or suspended_until > now))

local function is_over(id, delivery)
  local claim = redis.call('HGET', claims_key(worker), id)
  if not claim or string.match(claim, '^(%d+) ') ~= delivery then return true end
  if closed or (probe and probe ~= id) then return true end
  local deadline = counted(job_key(id), 'iq_deadline')
  return hget(job_key(id), 'iq_cancel') or (deadline and deadline <= now)
end

local wait, charged, answers = 0, false, {}
for index = 7, #ARGV, 3 do
  local id, delivery, images = ARGV[index], ARGV[index + 1], tonumber(ARGV[index + 2])
  local answer = 0
  if is_over(id, delivery) then
    answer = -1
  elseif wait <= 0 then
    wait = pace_wait(tat, unit_us, images, burst_us, now)
    if wait <= 0 then
      answer, tat, charged = 1, math.max(tat, now) + images * unit_us, true
      if probe then redis.call('HSET', pool, 'probe_until', whole(now + PROBE_US)) end
    end
  end
  answers[#answers + 1] = answer
end
if charged then redis.call('HSET', pool, 'sent_tat', whole(tat)) end
return {whole(math.max(math.ceil(wait), 0)), answers}
