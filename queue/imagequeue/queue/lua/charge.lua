-- include: place.lua
-- charge: counts requests of one key of the HTTP door, for all doors together.
--   ARGV[3] = key's id   ARGV[4] = interval_us: microseconds that one request takes at the key's rate
--   ARGV[5] = requests   ARGV[6] = '1' when they were let in before and are only counted now
-- <own>:key-rate:<key id>, text: GCRA's theoretical arrival time, microseconds (see pace.lua); gone when the bucket is full.
-- The bucket holds a minute's requests. What costs more than is left is let in and leaves a debt, which later ones wait for:
-- many jobs in one request are as good as many requests, and no request is too large for ever.
-- Returns microseconds until one request may come; 0 = these were counted.
local MINUTE_US, DEBT_US_MAX = 60 * 1000000, 31 * 86400 * 1000000
local interval, requests = tonumber(ARGV[4]), tonumber(ARGV[5])
local key, now = OWN .. ':key-rate:' .. ARGV[3], now_us()
local tat = math.max(tonumber(redis.call('GET', key) or '') or 0, now)
local wait = tat + interval - now - MINUTE_US
if wait > 0 and ARGV[6] ~= '1' then return whole(math.ceil(wait)) end
tat = math.min(tat + requests * interval, now + DEBT_US_MAX)
redis.call('SET', key, whole(tat), 'PX', whole(math.ceil((tat - now) / 1000) + 1))
return '0'
