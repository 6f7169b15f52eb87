-- include: place.lua
-- clock.lua: the server's clock was set back. What was noted by the later time would wait until it comes by again, which may
-- be hours: leases, the theoretical arrival times of paces, pauses, waits between attempts. They go back with the clock.
-- How far it went back is not known, only that it was more than `by` microseconds: the last sign of life of a worker lies
-- so far in the future. So everything goes back by that and no further: nobody is given up early, and no bucket gives more than
-- it would have; what is missing, at most the time between two signs of life, is waited for.
-- What a person named, not_before and deadline, stays as it was named.
local SET_BACK_US_MIN = 1000 -- less than a worker needs to say that it lives: two clocks of one server do not differ
local SET_BACK_JOBS_MAX = 10000 -- waiting jobs that are looked at
local MOMENTS = {'image_tat', 'token_tat', 'sent_tat', 'sent_token_tat', 'paused_until', 'probe_until', 'suspended_until',
  'suspended_at', 'factor_at', 'refused_at', 'pressed_at', 'trouble_at', 'flow_at', 'opened_at', 'trial_at'}

local function set_back_fields(key, names, by)
  for index, value in ipairs(redis.call('HMGET', key, unpack(names))) do
    local moment = tonumber(value or '')
    if moment and moment > 0 then redis.call('HSET', key, names[index], whole(math.max(moment - by, 1))) end
  end
end

local function set_back_scores(key, members, by)
  for index = 1, #members, 2 do
    redis.call('ZADD', key, 'XX', string.format('%.6f', tonumber(members[index + 1]) - by), members[index])
  end
end

-- Jobs that were called before wait between two attempts; those that were not wait for their not_before.
local function set_back_waits(q, now, by, most)
  local registry = registry_key('scheduled', q)
  local waiting = redis.call('ZRANGEBYSCORE', registry, string.format('(%.6f', now / 1000000), '+inf', 'WITHSCORES', 'LIMIT', 0, most)
  local called = {}
  for index = 1, #waiting, 2 do
    if counted(job_key(waiting[index]), 'iq_deliveries') then
      called[#called + 1] = waiting[index]
      called[#called + 1] = waiting[index + 1]
    end
  end
  set_back_scores(registry, called, by / 1000000)
  return #waiting / 2
end

local function set_back(now, by)
  if by < SET_BACK_US_MIN then return end
  redis.call('DEL', OWN .. ':grace') -- it would last until the later time comes by again
  set_back_scores(WORKERS, redis.call('ZRANGE', WORKERS, 0, -1, 'WITHSCORES'), by) -- who is dead is given up as soon
  for _, pool in ipairs(redis.call('SMEMBERS', OWN .. ':pools')) do set_back_fields(pool_key(pool), MOMENTS, by) end
  local left = SET_BACK_JOBS_MAX
  for _, list in ipairs(redis.call('SMEMBERS', RQ .. ':queues')) do
    local q = string.sub(list, #list_key('') + 1)
    if redis.call('TYPE', meta_key(q)).ok == 'hash' then set_back_fields(meta_key(q), {'flow_at'}, by) end
    if left > 0 then left = left - set_back_waits(q, now, by, left) end
  end
  for _, name in ipairs({':answered', ':flights'}) do -- see flight.lua; a deadline among them is looked at again when its turn comes
    local key = OWN .. name
    set_back_scores(key, redis.call('ZRANGEBYSCORE', key, '(' .. whole(now), whole(now + by), 'WITHSCORES', 'LIMIT', 0, left), by)
  end
end
