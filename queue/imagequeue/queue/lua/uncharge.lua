-- include: pace.lua
-- uncharge: a job that was claimed makes no call after all: the pace that its pool was charged for it is given back.
--   ARGV[3] = pool   ARGV[4] = n   ARGV[5] = tokens   ARGV[6] = image_us   ARGV[7] = token_us   (as in claim)
-- What the pool counts of its starts stays: counters never go down.
-- Returns 1, or 0 when there is no such pool.
local pool, n, tokens = pool_key(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
local fields = redis.call('HMGET', pool, 'image_tat', 'token_tat', 'factor', 'factor_at')
if not fields[1] then return 0 end
local factor = factor_now(tonumber(fields[3] or '1'), tonumber(fields[4] or '0'), now_us())
redis.call('HSET', pool, 'image_tat', whole(math.max(tonumber(fields[1]) - n * tonumber(ARGV[6]) / factor, 0)),
  'token_tat', whole(math.max(tonumber(fields[2] or '0') - tokens * tonumber(ARGV[7]) / factor, 0)))
return 1
