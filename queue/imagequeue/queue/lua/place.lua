-- place.lua: shared opening of every script: key names, time, and the two moves every state change is made of,
-- `enter` (a job takes its place among the queued) and `leave` (it gives it up).
--
-- ARGV[1] = RQ's key prefix   ARGV[2] = our key prefix
-- Which job, and so which job hash and tenant line, is known only inside the script; their keys are therefore built
-- here from the prefixes, and the server must be a single node (or a primary with replicas), not a Redis Cluster.
--
-- A queued job stands in two places that agree:
--   <rq>:queue:<q>            RQ's list of ids: what RQ's tools count and show
--   <own>:line:<q>:<tenant>   sorted set, id -> age (microseconds of its first enqueue): what we serve from
-- Its field iq_pos is its absolute position on the list; position minus the queue's `head` is its index, so that it can be
-- taken out of the middle of a million others without a search: the first id moves into its place, then the list is popped.
--   <own>:tenants:<q>         sorted set, tenant -> virtual time: start-time fair queueing (Goyal, Vin, Cheng 1996)
-- A job that may go to another model's pool (iq_overflow: "model tokens,model tokens") stands in a second such line as
-- well, that of the queue's name with a ~ behind it (aside).
--   <own>:owed:<q>            sorted set, tenant without a line -> the virtual time its next turn is due at; gone when that
--                             is past, or when nobody waits any more: nobody is owed anything then
--   <own>:queue:<q>           hash: head, indexed (how many of the list have a line), vtime
local RQ, OWN = ARGV[1], ARGV[2]

local function job_key(id) return RQ .. ':job:' .. id end
local function list_key(q) return RQ .. ':queue:' .. q end
local function registry_key(registry, q) return RQ .. ':' .. registry .. ':' .. q end
local function line_key(q, tenant) return OWN .. ':line:' .. q .. ':' .. tenant end
local function tenants_key(q) return OWN .. ':tenants:' .. q end
local function owed_key(q) return OWN .. ':owed:' .. q end
local function meta_key(q) return OWN .. ':queue:' .. q end
local function pool_key(pool) return OWN .. ':pool:' .. pool end
local function asked_key(id) return OWN .. ':asked:' .. id end
local function claims_key(worker) return OWN .. ':claims:' .. worker end
local WORKERS = OWN .. ':workers'
local HEARD = OWN .. ':heard' -- hash: `at`, when a worker was last heard; its `lease`; what is a `silence` by it; microseconds
local HELD = OWN .. ':held' -- hash, tenant -> why, JSON: tenants whose jobs must not start now

local function whole(number) return string.format('%.0f', number) end

local function now_us()
  local time = redis.call('TIME')
  return tonumber(time[1]) * 1000000 + tonumber(time[2])
end

-- ISO 8601 as RQ writes it. Days to date: Howard Hinnant, "chrono-compatible low-level date algorithms" (civil_from_days).
local function iso(us)
  local seconds = math.floor(us / 1000000)
  local days = math.floor(seconds / 86400)
  local rest = seconds - days * 86400
  local z = days + 719468
  local era = math.floor(z / 146097)
  local doe = z - era * 146097
  local yoe = math.floor((doe - math.floor(doe / 1460) + math.floor(doe / 36524) - math.floor(doe / 146096)) / 365)
  local doy = doe - (365 * yoe + math.floor(yoe / 4) - math.floor(yoe / 100))
  local mp = math.floor((5 * doy + 2) / 153)
  local month = mp < 10 and mp + 3 or mp - 9
  local year = yoe + era * 400 + (month <= 2 and 1 or 0)
  return string.format('%04d-%02d-%02dT%02d:%02d:%02d.%06dZ', year, month, doy - math.floor((153 * mp + 2) / 5) + 1,
    math.floor(rest / 3600), math.floor(rest / 60) % 60, rest % 60, us - seconds * 1000000)
end

-- Reads of a key that a stranger may have given another type must not end the script: nil instead.
local function hget(key, field)
  local value = redis.pcall('HGET', key, field)
  if type(value) == 'table' or value == false then return nil end
  return value
end

-- A whole number of at most 16 digits that a job hash holds, nil for anything else a stranger may have written there.
local function counted(key, field)
  local value = hget(key, field)
  if not value or #value > 16 or not string.match(value, '^-?%d+$') then return nil end
  return tonumber(value)
end

-- How large a job is for the pace. More than this no job is: a number that a stranger wrote must not stop a pool for years.
local IMAGES_MAX, TOKENS_MAX = 100, 1000000
local function images_of(id) return math.min(math.max(counted(job_key(id), 'iq_n') or 1, 1), IMAGES_MAX) end
local function tokens_of(id) return math.min(math.max(counted(job_key(id), 'iq_tokens') or 0, 0), TOKENS_MAX) end

local function count_up(key, field)
  local count = math.max(counted(key, field) or 0, 0) + 1
  redis.call('HSET', key, field, whole(count))
  return whole(count)
end

-- When a job was first enqueued, microseconds: its place in line, also when it comes back.
local function age_of(key, now) return whole(counted(key, 'iq_age') or now) end

local function status_of(id) return hget(job_key(id), 'status') end

-- A server at maxmemory refuses a script's first write if that write can grow; after any freeing write it lets the rest
-- pass (scripts without a shebang). What frees memory in the end must never be refused, so it opens with this.
local function drain_under_oom() redis.call('DEL', OWN .. ':nothing') end

local function announce(id, status) redis.call('PUBLISH', OWN .. ':events', id .. ' ' .. status) end

-- The second set of lines of a queue: its jobs that other pools may serve while its own do not (overflow.lua).
local function aside(q) return q .. '~' end

-- Jobs of one tenant get their places in its line; `places`: age, id, age, id, ...
local function stand_all_in(q, tenant, places)
  local meta = meta_key(q)
  redis.call('HINCRBY', meta, 'indexed', #places / 2)
  redis.call('ZADD', line_key(q, tenant), unpack(places))
  if redis.call('ZSCORE', tenants_key(q), tenant) then return end
  if redis.call('HEXISTS', HELD, tenant) == 1 then return end -- its jobs keep their places; its turn comes when it is released
  local now = tonumber(redis.call('HGET', meta, 'vtime') or '0')
  local owed = tonumber(redis.call('ZSCORE', owed_key(q), tenant) or '0')
  redis.call('ZREM', owed_key(q), tenant)
  redis.call('ZADD', tenants_key(q), string.format('%.6f', math.max(now, owed)), tenant)
end

local function stand_in(q, id, tenant, age) stand_all_in(q, tenant, {age, id}) end

-- Job `id` of `tenant` gets its place in the line of queue `q`; `age` orders it there.
local function join_line(q, id, tenant, age)
  stand_in(q, id, tenant, age)
  if (hget(job_key(id), 'iq_overflow') or '') ~= '' then stand_in(aside(q), id, tenant, age) end
end

-- Puts `id` on the list of queue `q` and returns its position there; `front` only says at which end RQ shows it.
local named = {} -- queues that this step has told RQ of
local function list_in(q, id, front)
  local meta, list = meta_key(q), list_key(q)
  if not named[q] then redis.call('SADD', RQ .. ':queues', list) end
  named[q] = true
  local head = tonumber(redis.call('HGET', meta, 'head') or '0')
  if not front then return whole(head + redis.call('RPUSH', list, id) - 1) end
  redis.call('LPUSH', list, id)
  redis.call('HSET', meta, 'head', whole(head - 1))
  return whole(head - 1)
end

-- Job `id` of `tenant` joins queue `q`.
local function enter(q, id, tenant, age, front)
  redis.call('HSET', job_key(id), 'status', 'queued', 'origin', q, 'iq_pos', list_in(q, id, front))
  redis.call('HDEL', job_key(id), 'iq_wait')
  join_line(q, id, tenant, age)
end

-- Takes `id` off RQ's list wherever it stands there. Returns true when it stood there.
local function unlist(q, id)
  local meta, list = meta_key(q), list_key(q)
  local head = tonumber(redis.call('HGET', meta, 'head') or '0')
  local position = counted(job_key(id), 'iq_pos') or head
  local index = position - head
  if index < 0 or redis.call('LINDEX', list, index) ~= id then
    -- Somebody else changed the list (LPUSH or LREM by RQ's own client): search once, and mend `head` for the others.
    index = redis.call('LPOS', list, id)
    if not index then return false end
    head = position - index
  end
  if index == 0 then
    redis.call('LPOP', list)
  else
    local first = redis.call('LPOP', list)
    redis.call('LSET', list, index - 1, first)
    if redis.call('TYPE', job_key(first)).ok == 'hash' then
      redis.call('HSET', job_key(first), 'iq_pos', whole(head + index))
    end
  end
  redis.call('HSET', meta, 'head', whole(head + 1))
  return true
end

-- A tenant without a line is owed no turn before `due`, as long as somebody else waits.
local OWED_FORGOTTEN_MAX = 64 -- in one step
local function owe(q, tenant, due)
  local now = redis.call('HGET', meta_key(q), 'vtime') or '0'
  if redis.call('EXISTS', tenants_key(q)) == 0 then
    redis.call('UNLINK', owed_key(q))
    return
  end
  if due > tonumber(now) then redis.call('ZADD', owed_key(q), string.format('%.6f', due), tenant) end
  local past = redis.call('ZRANGEBYSCORE', owed_key(q), '-inf', now, 'LIMIT', 0, OWED_FORGOTTEN_MAX)
  if #past > 0 then redis.call('ZREM', owed_key(q), unpack(past)) end
end

local function stand_out(q, id, tenant)
  if redis.call('ZREM', line_key(q, tenant), id) == 0 then return false end
  redis.call('HINCRBY', meta_key(q), 'indexed', -1)
  if redis.call('EXISTS', line_key(q, tenant)) == 0 then
    local turn = redis.call('ZSCORE', tenants_key(q), tenant)
    redis.call('ZREM', tenants_key(q), tenant)
    if turn then owe(q, tenant, tonumber(turn)) end
  end
  return true
end

-- Job `id` gives up its place among the queued. Returns true when it had a line (and not only RQ's list).
local function leave(q, id, tenant)
  unlist(q, id)
  redis.pcall('HDEL', job_key(id), 'iq_pos')
  stand_out(aside(q), id, tenant)
  return stand_out(q, id, tenant)
end

-- A tenant's turn on `q` was used for `images`, which its `weight` makes cheaper; the turn it was is the time on `q` now.
local function pay_turn(q, tenant, turn, images, weight)
  local paid = turn + images / weight
  redis.call('HSET', meta_key(q), 'vtime', string.format('%.6f', turn))
  if redis.call('ZSCORE', tenants_key(q), tenant) then
    redis.call('ZADD', tenants_key(q), string.format('%.6f', paid), tenant)
  else
    owe(q, tenant, paid)
  end
end

-- Where a job that is not queued waits: `scheduled` until a time (seconds), or `deferred` until somebody acts.
local function wait_in(registry, q, id, score, why)
  redis.call('SADD', RQ .. ':queues', list_key(q))
  redis.call('HSET', job_key(id), 'status', registry, 'origin', q, 'iq_wait', why)
  redis.call('ZADD', registry_key(registry, q), score, id)
end
