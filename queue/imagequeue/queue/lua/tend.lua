-- include: flight.lua
-- tend: followers whose leader vanished without a word (somebody deleted it), or of whom one step could not answer all.
--   ARGV[3] = most forms to look after   ARGV[4] = microseconds after which a form is looked after again
-- Returns how many forms were looked after.
local most, pause = tonumber(ARGV[3]), tonumber(ARGV[4])
local now = now_us()
drain_under_oom()
local forms = redis.call('ZRANGEBYSCORE', FLIGHTS, '-inf', whole(now - pause), 'LIMIT', 0, most)
for _, form in ipairs(forms) do
  redis.call('ZADD', FLIGHTS, whole(now), form)
  look_after(form, now)
end
return #forms
