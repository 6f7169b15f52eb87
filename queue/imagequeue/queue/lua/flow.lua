-- include: place.lua
-- flow: measures how many jobs a second join each queue, and how many images a second each busy pool really starts, so
-- that waits can be told: a pool may be slower than its pace, for its workers' sake.
--   ARGV[3] = JSON: {queues: [queue...], pools: {pool: [queue...]}}
-- A queue's `head` plus the length of its list grows by one with each job that joins at the end, whatever leaves.
-- Fields of <own>:queue:<q>: flow_at (microseconds) and flow_tail of the last sample, arrivals (jobs a second, smoothed).
-- Fields of <own>:pool:<pool>: flow_at, flow_starts, flow_busy (whether jobs were waiting), served (images a second,
-- smoothed; only between two samples at which jobs were waiting).
-- Any number of workers may ask: one sample in SAMPLE_US is taken. Returns how many were.
local SAMPLE_US, FORGET_US = 3 * 1000000, 60 * 1000000
local SMOOTHING = 0.5
local now, taken = now_us(), 0
local asked = cjson.decode(ARGV[3])

local function waiting(queues)
  for _, q in ipairs(queues) do
    local length = redis.pcall('LLEN', list_key(q))
    if type(length) == 'number' and length > 0 then return true end
  end
  return false
end

for name, queues in pairs(asked.pools) do
  local pool = pool_key(name)
  local fields = redis.call('HMGET', pool, 'starts', 'flow_at', 'flow_starts', 'flow_busy', 'served')
  local starts, at = tonumber(fields[1] or '0'), tonumber(fields[2] or '0')
  if fields[1] and now - at >= SAMPLE_US then
    local busy = waiting(queues)
    if busy and fields[4] == '1' and now - at < FORGET_US then
      local fresh = math.max(starts - tonumber(fields[3] or '0'), 0) * 1000000 / (now - at)
      local before = tonumber(fields[5] or '') or fresh
      redis.call('HSET', pool, 'served', string.format('%.6f', SMOOTHING * fresh + (1 - SMOOTHING) * before))
    else
      redis.call('HDEL', pool, 'served')
    end
    redis.call('HSET', pool, 'flow_at', whole(now), 'flow_starts', whole(starts), 'flow_busy', busy and '1' or '0')
    taken = taken + 1
  end
end
for _, q in ipairs(asked.queues) do
  local meta = meta_key(q)
  local fields = redis.call('HMGET', meta, 'head', 'flow_at', 'flow_tail', 'arrivals')
  local at = tonumber(fields[2] or '0')
  if now - at >= SAMPLE_US then
    local length = redis.pcall('LLEN', list_key(q))
    local tail = tonumber(fields[1] or '0') + (type(length) == 'number' and length or 0)
    local rate = 0
    if at > 0 and now - at < FORGET_US then
      local fresh = math.max(tail - tonumber(fields[3] or '0'), 0) * 1000000 / (now - at)
      rate = SMOOTHING * fresh + (1 - SMOOTHING) * tonumber(fields[4] or '0')
    end
    if at > 0 or tail ~= 0 then
      redis.call('HSET', meta, 'flow_at', whole(now), 'flow_tail', whole(tail), 'arrivals', string.format('%.6f', rate))
      taken = taken + 1
    end
  end
end
return taken
