-- include: ending.lua
-- reap: returns the claims of workers whose lease ran out. Several reapers may run at once: HDEL decides.
--   ARGV[3] = most claims to return in this call   ARGV[4] = the worker that reaps ('' = no worker)
-- A worker whose own lease has run out reaps nobody: it cannot tell whether the others were away, or the server. Nor does
-- anyone give up those whose lease ended while the server heard nobody: then it was the server that was away.
-- Returns {claims returned, workers given up, 1 when more is to do}.
local most = tonumber(ARGV[3])
local DEAD = OWN .. ':dead' -- workers given up whose claims are not all returned yet
local now = now_us()
local reaper = ARGV[4] or ''
local own = reaper ~= '' and redis.call('ZSCORE', WORKERS, reaper)
if reaper ~= '' and (not own or tonumber(own) <= now) then return {0, 0, 0} end
-- Leases that ended before a silence of the server ended for good; of those that ended in it nothing is known yet.
local ended = tonumber(redis.call('GET', OWN .. ':grace') or whole(now))
local heard = redis.call('HMGET', HEARD, 'at', 'silence')
if reaper ~= '' and heard[1] and now - tonumber(heard[1]) > tonumber(heard[2]) then
  ended = math.min(ended, tonumber(heard[1]))
end
local gone = redis.call('ZRANGEBYSCORE', WORKERS, '-inf', whole(ended), 'LIMIT', 0, 100)
for _, worker in ipairs(gone) do
  redis.call('ZREM', WORKERS, worker)
  redis.call('SADD', DEAD, worker)
end
local returned = 0
for _, worker in ipairs(redis.call('SMEMBERS', DEAD)) do
  returned = returned + return_claims(worker, now, most - returned, 'iq_crashes')
  if redis.call('EXISTS', claims_key(worker)) == 1 then return {returned, #gone, 1} end
  redis.call('SREM', DEAD, worker)
  forget_worker(worker)
end
return {returned, #gone, 0}
