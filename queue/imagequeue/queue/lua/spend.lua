-- include: place.lua
-- spend: takes from the month's budget of one key of the HTTP door, or takes nothing; for all doors together.
--   ARGV[3] = key's id   ARGV[4] = month, YYYY-MM   ARGV[5] = nano-dollars, less than 0 to give back
--   ARGV[6] = the most that may be taken in the month   ARGV[7] = seconds that the month's sum is kept
-- <own>:key-budget:<key id>:<YYYY-MM>, whole number: nano-dollars taken.
-- Returns {1, what is left} when it was taken, {0, what is left} when it was not.
local key = OWN .. ':key-budget:' .. ARGV[3] .. ':' .. ARGV[4]
local most, taken = tonumber(ARGV[6]), tonumber(redis.call('GET', key) or '0')
local after = taken + tonumber(ARGV[5])
if tonumber(ARGV[5]) > 0 and after > most then return {0, whole(math.max(most - taken, 0))} end
redis.call('SET', key, whole(math.max(after, 0)), 'EX', ARGV[7])
return {1, whole(math.max(most - after, 0))}
