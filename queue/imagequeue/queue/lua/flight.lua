-- include: place.lua
-- flight.lua: the cache of results, and single flight: jobs that ask for the same images make one call.
--
-- A job that takes part has iq_form, the hash of what it asks for (form.py), and iq_cache:
--   use      takes the stored result, else joins the call under way for its form, else makes the call, which others may join
--   refresh  makes a call, which others may join; its result replaces the stored one
--   alone    takes the stored result, else makes a call that nobody joins: one that may take hours
-- Keys:
--   <own>:cache:<form>    string, JSON: the stored result (stored.py), until its time is over
--   <own>:flight:<form>   string: the job that makes the call, the leader
--   <own>:joined:<form>   sorted set of jobs that follow it; score: rank of the priority, then age
--   <own>:flights         sorted set of the forms that have followers; score: when they were last looked after (tend.lua)
--   <own>:answered        sorted set of followers that a worker takes up, whatever the pace is; score: from when on,
--                         microseconds. Their result is there, or their deadline comes then.
-- A follower is `deferred` for RQ, with a score below 0 in that registry. iq_follows names its leader, '-' when it follows
-- a stored result. When the leader ends without images, the next follower leads.
local FLIGHTS, ANSWERED = OWN .. ':flights', OWN .. ':answered'
local LANDED_MAX = 500                   -- followers that one step moves; tend moves the rest
local HELD_LOOKED_AT_MAX = 32            -- followers among which one is sought whose tenant is not held
local FLIGHT_SECONDS_MAX = 30 * 86400    -- a leader that somebody deleted is forgotten after so long
local RANKS = {high = 0, default = 1, low = 2}
local LEADING = {queued = true, scheduled = true, started = true}

local function cache_key(form) return OWN .. ':cache:' .. form end
local function flight_key(form) return OWN .. ':flight:' .. form end
local function joined_key(form) return OWN .. ':joined:' .. form end

local function lead(form, id) redis.call('SET', flight_key(form), id, 'EX', FLIGHT_SECONDS_MAX) end

-- The job that makes the call for a form, and its status; nil when there is none, or when it cannot end any more.
local function leader_of(form)
  local id = redis.call('GET', flight_key(form))
  local status = id and status_of(id)
  if not status or not LEADING[status] or hget(job_key(id), 'iq_form') ~= form then return nil end
  return id, status
end

local function rank_of(q) return RANKS[string.match(q, '[^.]*$')] or 3 end

-- Microseconds, exact in a double; a rank is worth more than any age that this century has.
local function joined_score(q, age) return whole(rank_of(q) * 3e15 + age) end

local function name_leader(id, leader)
  redis.call('HSET', job_key(id), 'iq_follows', leader,
    'iq_wait', cjson.encode({reason = 'joined', detail = 'waits for job ' .. leader .. ', which asks for the same images'}))
end

local function follow(q, id, age, form, leader, now)
  local key = job_key(id)
  redis.call('ZADD', joined_key(form), joined_score(q, age), id)
  redis.call('ZADD', FLIGHTS, 'NX', whole(now), form)
  local deadline = counted(key, 'iq_deadline')
  if deadline then redis.call('ZADD', ANSWERED, whole(deadline), id) end
  wait_in('deferred', q, id, string.format('%.6f', -now / 1000000), '')
  name_leader(id, leader)
end

-- Job `id` follows nothing any more; it has no place after this unless it gets one.
local function unfollow(form, id)
  redis.call('ZREM', joined_key(form), id)
  redis.call('ZREM', ANSWERED, id)
  if redis.call('HDEL', job_key(id), 'iq_follows') == 1 then
    redis.call('ZREM', registry_key('deferred', hget(job_key(id), 'origin') or ''), id)
  end
end

-- Whether a newcomer would start before the leader, which waits in a line: then it makes the call.
local function outruns(q, tenant, leader)
  if rank_of(q) < rank_of(hget(job_key(leader), 'origin') or '') then return true end
  local other = hget(job_key(leader), 'iq_tenant') or 'default'
  return other ~= tenant and redis.call('HEXISTS', HELD, other) == 1 and redis.call('HEXISTS', HELD, tenant) == 0
end

-- The leader, which waits in a line, follows `id` from now on; a refresh stays where it is, for it makes its own call.
local function hand_over(form, leader, id, now)
  local key = job_key(leader)
  lead(form, id)
  if hget(key, 'iq_cache') ~= 'use' then return end
  local q = hget(key, 'origin') or ''
  leave(q, leader, hget(key, 'iq_tenant') or 'default')
  follow(q, leader, tonumber(age_of(key, now)), form, id, now)
end

-- The result is there: those who waited for it are answered.
local function land(form, now)
  local joined = joined_key(form)
  for _, id in ipairs(redis.call('ZRANGE', joined, 0, LANDED_MAX - 1)) do
    redis.call('ZREM', joined, id)
    if status_of(id) == 'deferred' then redis.call('ZADD', ANSWERED, whole(now), id) end
  end
end

-- The follower that makes the call next: the first by priority and age whose tenant is not held, else the first.
local function next_leader(form)
  local joined, first = joined_key(form), nil
  for _, id in ipairs(redis.call('ZRANGE', joined, 0, HELD_LOOKED_AT_MAX - 1)) do
    if status_of(id) ~= 'deferred' then
      redis.call('ZREM', joined, id)
    else
      first = first or id
      if redis.call('HEXISTS', HELD, hget(job_key(id), 'iq_tenant') or 'default') == 0 then return id end
    end
  end
  return first
end

local function lead_next(form, now)
  redis.call('DEL', flight_key(form))
  local id = next_leader(form)
  if not id then return end
  local key = job_key(id)
  unfollow(form, id)
  lead(form, id)
  enter(hget(key, 'origin') or '', id, hget(key, 'iq_tenant') or 'default', age_of(key, now), true)
  for _, other in ipairs(redis.call('ZRANGE', joined_key(form), 0, LANDED_MAX - 1)) do
    if status_of(other) == 'deferred' then name_leader(other, id) end
  end
  announce(id, 'queued')
end

-- Followers of a form are never left alone: they are answered, or one of them makes the call.
local function look_after(form, now)
  if redis.call('EXISTS', joined_key(form)) == 1 then
    if redis.call('EXISTS', cache_key(form)) == 1 then
      land(form, now)
    elseif not leader_of(form) then
      lead_next(form, now)
    end
  end
  if redis.call('EXISTS', joined_key(form)) == 0 then redis.call('ZREM', FLIGHTS, form) end
end

-- Job `id` has ended, or waits for a person: it neither follows nor leads.
local function release(form, id, now)
  unfollow(form, id)
  if redis.call('GET', flight_key(form)) == id then redis.call('DEL', flight_key(form)) end
  look_after(form, now)
end

-- Job `id` could be called now: it goes to its line, unless a stored result answers it or a call under way will.
-- Returns 'queued', 'joined' or 'answered'.
local function ready(q, id, tenant, age, front)
  local key = job_key(id)
  local form, mode = hget(key, 'iq_form'), hget(key, 'iq_cache')
  if not form then
    enter(q, id, tenant, age, front)
    return 'queued'
  end
  local now = now_us()
  if mode ~= 'refresh' and redis.call('EXISTS', cache_key(form)) == 1 then
    if redis.call('GET', flight_key(form)) == id then
      redis.call('DEL', flight_key(form))
      look_after(form, now)
    end
    redis.call('HSET', key, 'iq_follows', '-')
    wait_in('deferred', q, id, string.format('%.6f', -now / 1000000), '{"reason":"joined","detail":"its result is stored already"}')
    redis.call('ZADD', ANSWERED, whole(now), id)
    return 'answered'
  end
  redis.call('HDEL', key, 'iq_follows')
  if mode ~= 'alone' then
    local leader, status = leader_of(form)
    if not leader then
      lead(form, id)
    elseif leader ~= id and mode == 'use' then
      if status ~= 'queued' or not outruns(q, tenant, leader) then
        follow(q, id, tonumber(age), form, leader, now)
        return 'joined'
      end
      hand_over(form, leader, id, now)
    end
  end
  enter(q, id, tenant, age, front)
  return 'queued'
end

-- How many images came from where, by hour and model: made by a call, stored before, or of a call that was joined.
local function count_images(now, source, q, n)
  local key = OWN .. ':images:' .. whole(math.floor(now / 3600000000))
  redis.call('HINCRBY', key, source .. ' ' .. string.gsub(q, '%.[^.]*$', ''), n)
  redis.call('EXPIRE', key, 2 * 86400)
end
