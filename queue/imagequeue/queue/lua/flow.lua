-- include: pace.lua
-- flow: measures how many jobs a second join each queue, and how many images a second each busy pool really starts, so
-- that waits can be told: a pool may be slower than its pace, for its workers' sake.
--   ARGV[3] = JSON: {queues: [queue...], pools: {pool: [queue...]}}
-- A queue's `head` plus the length of its list grows by one with each job that joins at the end, whatever leaves.
-- Fields of <own>:queue:<q>: flow_at (microseconds) and flow_tail of the last sample, flow_rates (jobs a second between
-- the last samples), arrivals (their mean without the highest and the lowest: many jobs put there at once are no stream).
-- Fields of <own>:pool:<pool>: flow_at, flow_seen (time and starts of the last samples, while jobs that could start were
-- waiting and the pool neither paused nor slowed), served (images a second from the first of them to the last).
-- Any number of workers may ask: one sample in SAMPLE_US is taken. Returns how many were.
local SAMPLE_US, FORGET_US = 3 * 1000000, 60 * 1000000
local SAMPLES_MAX = 5
local now, taken = now_us(), 0
local asked = cjson.decode(ARGV[3])
drain_under_oom()

local function numbers(text)
  local found = {}
  for word in string.gmatch(text or '', '[^ ]+') do found[#found + 1] = tonumber(word) end
  return found
end

-- Whether a job could start; those of held tenants have no turn.
local function waiting(queues)
  for _, q in ipairs(queues) do
    if redis.call('EXISTS', tenants_key(q)) == 1 then return true end
  end
  return false
end

local function even_mean(rates)
  table.sort(rates)
  local first, last = 1, #rates
  if #rates > 2 then first, last = 2, #rates - 1 elseif #rates == 2 then last = 1 end
  local sum = 0
  for index = first, last do sum = sum + rates[index] end
  return sum / (last - first + 1)
end

for name, queues in pairs(asked.pools) do
  local pool = pool_key(name)
  local fields = redis.call('HMGET', pool, 'starts', 'flow_at', 'flow_seen', 'paused_until', 'factor', 'factor_at')
  local at = tonumber(fields[2] or '0')
  if fields[1] and (now - at >= SAMPLE_US or now < at) then
    local seen = numbers(fields[3])
    local steady = waiting(queues) and tonumber(fields[4] or '0') == 0
      and factor_now(tonumber(fields[5] or '1'), tonumber(fields[6] or '0'), now) >= 1
    if not steady or now < at or now - at >= FORGET_US then seen = {} end
    if steady then seen[#seen + 1], seen[#seen + 2] = now, tonumber(fields[1]) end
    while #seen > 2 * (SAMPLES_MAX + 1) do table.remove(seen, 1); table.remove(seen, 1) end
    if #seen >= 4 then
      local served = math.max(seen[#seen] - seen[2], 0) * 1000000 / (now - seen[1])
      redis.call('HSET', pool, 'served', string.format('%.6f', served))
    else
      redis.call('HDEL', pool, 'served')
    end
    local words = {}
    for index, number in ipairs(seen) do words[index] = whole(number) end
    redis.call('HSET', pool, 'flow_at', whole(now), 'flow_seen', table.concat(words, ' '))
    taken = taken + 1
  end
end

for _, q in ipairs(asked.queues) do
  local meta = meta_key(q)
  local fields = redis.call('HMGET', meta, 'head', 'flow_at', 'flow_tail', 'flow_rates')
  local at = tonumber(fields[2] or '0')
  if now - at >= SAMPLE_US or now < at then
    local length = redis.pcall('LLEN', list_key(q))
    local tail = tonumber(fields[1] or '0') + (type(length) == 'number' and length or 0)
    local rates = numbers(fields[4])
    if at > 0 and now > at and now - at < FORGET_US then
      rates[#rates + 1] = math.max(tail - tonumber(fields[3] or '0'), 0) * 1000000 / (now - at)
      while #rates > SAMPLES_MAX do table.remove(rates, 1) end
    else
      rates = {}
    end
    if at > 0 or tail ~= 0 then
      local words = {}
      for index, rate in ipairs(rates) do words[index] = string.format('%.6f', rate) end
      local arrivals = #rates > 1 and even_mean(rates) or 0
      redis.call('HSET', meta, 'flow_at', whole(now), 'flow_tail', whole(tail), 'flow_rates', table.concat(words, ' '),
        'arrivals', string.format('%.6f', arrivals))
      taken = taken + 1
    end
  end
end
return taken
