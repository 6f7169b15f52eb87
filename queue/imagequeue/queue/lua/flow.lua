-- include: place.lua
-- flow: measures how many jobs a second join each queue, so that the wait of lower priorities can be told.
--   ARGV[3..] = queues
-- A queue's `head` plus the length of its list grows by one with each job that joins at the end, whatever leaves.
-- Fields of <own>:queue:<q>: flow_at (microseconds) and flow_tail of the last sample, arrivals (jobs a second, smoothed).
-- Any number of workers may ask: one sample in SAMPLE_US is taken. Returns how many were.
local SAMPLE_US, FORGET_US = 3 * 1000000, 60 * 1000000
local SMOOTHING = 0.5
local now, taken = now_us(), 0
for index = 3, #ARGV do
  local q = ARGV[index]
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
