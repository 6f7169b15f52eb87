-- include: flight.lua
-- ending.lua: how a job ends, and how a claim does; shared by the scripts that end either.

-- The end of a job: `finished`, `failed` or `canceled`, kept in its registry and its hash for `ttl` seconds.
local function finish(q, id, status, ttl, now)
  redis.call('HSET', job_key(id), 'status', status, 'ended_at', iso(now))
  redis.call('ZADD', registry_key(status, q), whole(math.floor(now / 1000000) + ttl), id)
  redis.call('EXPIRE', job_key(id), ttl)
  announce(id, status)
  local form = hget(job_key(id), 'iq_form')
  if form then release(form, id, now) end
end

-- Ends the claim of `worker` on `id` if it is still the claim of that delivery. Returns the queue, or nil: fenced off.
local function end_claim(worker, id, delivery)
  local claim = redis.call('HGET', claims_key(worker), id)
  if not claim then return nil end
  local number, q = string.match(claim, '^(%d+) (.*)$')
  if number ~= delivery then return nil end
  redis.call('HDEL', claims_key(worker), id)
  redis.call('ZREM', registry_key('wip', q), id .. ':' .. worker .. '-' .. delivery)
  return q
end

-- Gives up to `most` (nil: all) claims of `worker` back to their lines; `counter` is a field to count it in. Returns how many.
local function return_claims(worker, ttl, now, most, counter)
  local claims, returned = redis.call('HGETALL', claims_key(worker)), 0
  for index = 1, #claims, 2 do
    if most and returned >= most then break end
    local id, delivery, q = claims[index], string.match(claims[index + 1], '^(%d+) (.*)$')
    end_claim(worker, id, delivery)
    returned = returned + 1
    local key = job_key(id)
    if redis.call('TYPE', key).ok == 'hash' then
      if counter then count_up(key, counter) end
      redis.call('HSET', key, 'worker_name', '')
      if redis.call('HEXISTS', key, 'iq_cancel') == 1 then
        redis.call('SREM', OWN .. ':cancelling', id)
        finish(q, id, 'canceled', ttl, now)
      else
        ready(q, id, hget(key, 'iq_tenant') or 'default', age_of(key, now), true)
      end
    end
  end
  return returned
end
