-- include: flight.lua
-- ending.lua: how a job ends, and how a claim does; shared by the scripts that end either.

-- What a job with an idempotency key was asked by outlives its hash: <own>:asked:<id>, text, its fingerprint.
local FINGERPRINT_BYTES_MAX, ASKED_SECONDS_MAX = 64, 10 * 365 * 86400
local function remember_asked(id)
  local seconds, print = counted(job_key(id), 'iq_key_ttl'), hget(job_key(id), 'iq_fingerprint')
  if not seconds or seconds < 1 or seconds > ASKED_SECONDS_MAX then return end
  if print and #print <= FINGERPRINT_BYTES_MAX then redis.call('SET', asked_key(id), print, 'EX', whole(seconds)) end
end

-- The end of a job: `finished`, `failed` or `canceled`, kept in its registry and its hash for `ttl` seconds.
local function finish(q, id, status, ttl, now)
  redis.call('HSET', job_key(id), 'status', status, 'ended_at', iso(now))
  redis.call('ZADD', registry_key(status, q), whole(math.floor(now / 1000000) + ttl), id)
  redis.call('EXPIRE', job_key(id), ttl)
  announce(id, status)
  remember_asked(id)
  local form = hget(job_key(id), 'iq_form')
  if form then release(form, id, now) end
end

-- A worker that is gone is counted for no queue by RQ's tools. What is left of its hash names its queues.
local function forget_worker(worker)
  local key = RQ .. ':worker:' .. worker
  redis.call('SREM', RQ .. ':workers', key)
  for q in string.gmatch(hget(key, 'queues') or '', '[^,]+') do redis.call('SREM', RQ .. ':workers:' .. q, key) end
  for _, list in ipairs(redis.call('SMEMBERS', RQ .. ':queues')) do
    redis.call('SREM', RQ .. ':workers:' .. string.sub(list, #list_key('') + 1), key)
  end
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

-- A job in whose hands several workers died has killed them, or was only beside the one that did. Such jobs come back spread
-- over a time that doubles, so that the innocent meet a worker without the other: it is soon much longer than a worker takes
-- to be given up and replaced. Nil for a job that comes back at once.
local SUSPECT_CRASHES, DOUBLINGS_MAX, APART_US_MIN = 3, 5, 5000000
local function apart_us(id, crashes)
  if crashes < SUSPECT_CRASHES then return nil end
  local chance = tonumber(string.sub(redis.sha1hex(id .. crashes), 1, 8), 16) / 4294967296
  local unit_us = math.max(tonumber(redis.call('HGET', HEARD, 'lease') or '0'), APART_US_MIN)
  return math.floor(unit_us * 2 ^ math.min(crashes - SUSPECT_CRASHES + 1, DOUBLINGS_MAX) * chance)
end

-- A job that was cancelled while it ran goes to its line, whatever it should have waited for: who claims it there writes
-- its end into the ledger, and then here.
local function return_cancelled(q, id, now)
  local key = job_key(id)
  local form = hget(key, 'iq_form')
  if form then release(form, id, now) end -- nobody waits for a call that it does not make
  enter(q, id, hget(key, 'iq_tenant') or 'default', age_of(key, now), true)
end

-- Gives up to `most` (nil: all) claims of `worker` back to their lines; `counter` is a field to count it in. Returns how many.
local function return_claims(worker, now, most, counter)
  local claims, returned = redis.call('HGETALL', claims_key(worker)), 0
  for index = 1, #claims, 2 do
    if most and returned >= most then break end
    local id, delivery, q = claims[index], string.match(claims[index + 1], '^(%d+) (.*)$')
    end_claim(worker, id, delivery)
    returned = returned + 1
    local key = job_key(id)
    if redis.call('TYPE', key).ok == 'hash' then
      local suspect = counter and apart_us(id, tonumber(count_up(key, counter)))
      redis.call('HSET', key, 'worker_name', '')
      if redis.call('HEXISTS', key, 'iq_cancel') == 1 then
        return_cancelled(q, id, now)
      elseif suspect then
        local why = {reason = 'backoff', ['until'] = iso(now + suspect),
          detail = 'several workers died while they worked on it; it waits for a time apart from other such jobs'}
        wait_in('scheduled', q, id, string.format('%.6f', (now + suspect) / 1000000), cjson.encode(why))
      else
        ready(q, id, hget(key, 'iq_tenant') or 'default', age_of(key, now), true)
      end
    end
  end
  return returned
end
