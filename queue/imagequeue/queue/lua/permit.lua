-- include: pace.lua
-- permit: the last look before calls are sent: which of a worker's claimed jobs may be sent now, in one step for many.
--   ARGV[3] = worker   ARGV[4] = pool   ARGV[5], ARGV[6] = microseconds one image, one token takes at the provider's ceiling
--   (0 = no ceiling)   ARGV[7] = burst, microseconds   ARGV[8..] = id, delivery, images, tokens of each job, first come first
-- A claim charges the working pace. Between it and the call lie the ledger's commit and whatever stalls a process, and what
-- was late comes out together. So every send of every worker is charged here again, against the ceiling itself.
-- Pool fields: sent_tat, sent_token_tat (settle corrects it by the tokens that were used). Of a pool that waits for its probe only the probe is sent; the others follow PROBE_US later.
-- Returns {microseconds until the first that has to wait may ask again (0 = none), answer for each job}, an answer being
-- 1 = send it, 0 = ask again, -1 = give it back: another's by now, cancelled, too late, or its pool is paused or suspended.
-- A suspension for want of money keeps back nothing here: these calls hold their money, which is why others find none.
local BUDGET = 'budget: ' -- how such a reason begins (budget.py)
local PROBE_US = 1000000 -- a refusal comes faster
local worker, pool, burst_us = ARGV[3], pool_key(ARGV[4]), tonumber(ARGV[7])
local now = now_us()
drain_under_oom()
local fields = redis.call('HMGET', pool, 'sent_tat', 'factor', 'factor_at', 'paused_until', 'probe_until', 'probe', 'suspended',
  'suspended_until', 'sent_token_tat')
local tat, token_tat = tonumber(fields[1] or '0'), tonumber(fields[9] or '0')
local factor = factor_now(tonumber(fields[2] or '1'), tonumber(fields[3] or '0'), now)
local image_us, token_us = tonumber(ARGV[5]) / factor, tonumber(ARGV[6]) / factor
local probe = tonumber(fields[5] or '0') > now and fields[6]
local suspended_until = tonumber(fields[8] or '0')
local suspended = fields[7] and fields[7] ~= '' and string.sub(fields[7], 1, #BUDGET) ~= BUDGET
local closed = tonumber(fields[4] or '0') > now or (suspended and (suspended_until == 0 or suspended_until > now))

local function is_over(id, delivery)
  local claim = redis.call('HGET', claims_key(worker), id)
  if not claim or string.match(claim, '^(%d+) ') ~= delivery then return true end
  if closed or (probe and probe ~= id) then return true end
  local deadline = counted(job_key(id), 'iq_deadline')
  return hget(job_key(id), 'iq_cancel') or (deadline and deadline <= now)
end

local wait, charged, answers = 0, false, {}
for index = 8, #ARGV, 4 do
  local id, delivery, images, tokens = ARGV[index], ARGV[index + 1], tonumber(ARGV[index + 2]), tonumber(ARGV[index + 3])
  local answer = 0
  if is_over(id, delivery) then
    answer = -1
  elseif wait <= 0 then
    wait = math.max(pace_wait(tat, image_us, images, burst_us, now), pace_wait(token_tat, token_us, tokens, burst_us, now))
    if wait <= 0 then
      answer, charged = 1, true
      tat, token_tat = math.max(tat, now) + images * image_us, math.max(token_tat, now) + tokens * token_us
      if probe then redis.call('HSET', pool, 'probe_until', whole(now + PROBE_US)) end
    end
  end
  answers[#answers + 1] = answer
end
if charged then redis.call('HSET', pool, 'sent_tat', whole(tat), 'sent_token_tat', whole(token_tat)) end
return {whole(math.max(math.ceil(wait), 0)), answers}
