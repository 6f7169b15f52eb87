-- include: flight.lua
-- pending: what may still come to life without a person: claims of any worker, dead ones too, jobs waiting for a time, and
-- those that a stored result answers.
--   ARGV[3..] = queues
-- Returns how many.
local count = redis.call('ZCARD', ANSWERED)
for _, worker in ipairs(redis.call('ZRANGE', WORKERS, 0, -1)) do count = count + redis.call('HLEN', claims_key(worker)) end
for _, worker in ipairs(redis.call('SMEMBERS', OWN .. ':dead')) do count = count + redis.call('HLEN', claims_key(worker)) end
for index = 3, #ARGV do count = count + redis.call('ZCARD', registry_key('scheduled', ARGV[index])) end
return count
