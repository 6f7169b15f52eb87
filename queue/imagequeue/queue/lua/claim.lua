-- include: overflow.lua
-- claim: gives a worker jobs that may start now. One step: the pool's pace is charged, the job leaves its queue, the claim
-- and RQ's status are written. A permit is never spent on an empty queue, and no job waits in a worker's memory.
--   ARGV[3] = worker   ARGV[4] = most jobs to give   ARGV[5] = plan, JSON:
--     pools: [{name, models: [model...], image_us, token_us, burst_us, weight, high: [queue...], default: [...], low: [...]}]
--       image_us, token_us: microseconds one image or token takes at the working pace (0 = that dimension has no limit)
--     shares: {default, low}: part of a pool that lower priorities get even when higher ones are waiting
--     weights: {tenant: weight}, 1 where absent     unserved: [queue...] of models that no pool serves
-- Pace: GCRA in two dimensions, images and tokens; see pace.lua. A job of n images is charged whole.
-- Pool state, <own>:pool:<name>, hash: image_tat, token_tat, paused_until, probe_until, factor, factor_at, suspended,
--   suspended_until, probe (the job that goes first after a pause),
--   opened_at, trust_us, trial_at (see overflow.lua),
--   turn (fair choice between pools), owed_default, owed_low, starts, since_resume, round,
--   tokens (the estimates of all that started), limited (1: jobs were left waiting for the pace alone)
-- A claim that comes later than one burst would lose the starts that were due meanwhile. Where jobs waited for nothing but
-- the pace they are given back, up to LATE_US of them; permit.lua still sends no faster than the provider's ceiling.
-- Returns {now_us, wait_us (-1: nothing is queued), suspended, foreign queues, {job...}} with job =
--   {id, queue, pool, delivery, data, kind, attempts that counted so far} and kind one of run, cached, expired, cancelled,
--   unserved, malformed, poison.
-- A job that a stored result answers (cached) is given whatever the pace is, for it makes no call.
local worker, most = ARGV[3], tonumber(ARGV[4])
local CRASHES_MAX = 10 -- a job in whose hands so many workers died is not given to another
local STALE_MAX = 1000 -- entries of vanished jobs that one call clears away
-- statuses of jobs that have another place than a queue
local ELSEWHERE = {started = true, scheduled = true, deferred = true, finished = true, failed = true, canceled = true, stopped = true}
local ANSWERED_SOON_US = 3000000 -- a stored result that is to be told so soon is waited for
local given, foreign, wait, stale = {}, {}, -1, 0

if not redis.call('ZSCORE', WORKERS, worker) then return redis.error_reply('WORKERGONE this worker was given up for dead') end
if redis.call('EXISTS', RQ .. ':suspended') == 1 then return {whole(now), '-1', 1, foreign, given} end
drain_under_oom()

local function soonest(us)
  if us < 0 then us = 0 end
  if wait < 0 or us < wait then wait = us end
end

-- A job that came to its line while another made the same call joins that one. A job without a leader leads from here on.
local function joins(q, id, tenant)
  local key = job_key(id)
  if hget(key, 'iq_cache') ~= 'use' or hget(key, 'iq_cancel') then return false end
  local form = hget(key, 'iq_form')
  if not form or redis.call('EXISTS', cache_key(form)) == 1 then return false end
  local leader = leader_of(form)
  if not leader then lead(form, id) end
  if not leader or leader == id then return false end
  leave(q, id, tenant)
  follow(q, id, tonumber(age_of(key, now)), form, leader, now)
  return true
end

-- The id that is next in line on `q`, or on its lines `beside`, and its tenant; clears entries whose job is gone or no
-- longer queued.
local function next_in_line(q, beside)
  local lines = beside or q
  while stale < STALE_MAX do
    local first = redis.call('ZRANGE', tenants_key(lines), 0, 0)
    if not first[1] then return nil end
    local tenant = first[1]
    local ids = redis.call('ZRANGE', line_key(lines, tenant), 0, 0)
    if not ids[1] then
      redis.call('ZREM', tenants_key(lines), tenant)
    else
      local status = status_of(ids[1])
      if status == 'queued' and hget(job_key(ids[1]), 'origin') == q then
        if not joins(q, ids[1], tenant) then return ids[1], tenant end
      elseif status and not ELSEWHERE[status] and status ~= 'queued' then
        return ids[1], tenant
      else
        leave(q, ids[1], tenant)
      end
    end
    stale = stale + 1
  end
  return nil
end

-- The claim of `worker` on a job that has left its place.
local function hand(q, id, pool, kind)
  local key = job_key(id)
  local delivery = count_up(key, 'iq_deliveries')
  local at = iso(now)
  redis.call('HSET', key, 'status', 'started', 'started_at', at, 'last_heartbeat', at, 'worker_name', worker, 'iq_pool', pool)
  redis.call('PERSIST', key)
  redis.call('HSET', claims_key(worker), id, delivery .. ' ' .. q)
  redis.call('ZADD', registry_key('wip', q), '+inf', id .. ':' .. worker .. '-' .. delivery)
  given[#given + 1] = {id, q, pool, delivery, hget(key, 'data') or '', kind, whole(counted(key, 'iq_tries') or 0)}
end

local function give(q, id, tenant, pool, kind, n, beside)
  local turn = number(redis.call('ZSCORE', tenants_key(q), tenant), 0)
  local turn_beside = beside and number(redis.call('ZSCORE', tenants_key(beside), tenant), 0)
  leave(q, id, tenant)
  local weight = number(plan.weights and plan.weights[tenant], 1)
  pay_turn(q, tenant, turn, n, weight)
  if beside then pay_turn(beside, tenant, turn_beside, n, weight) end
  hand(q, id, pool, kind)
end

-- What, other than running, has to be done with a job: nil when it is to be run.
local function special(id)
  local fields = redis.call('HMGET', job_key(id), 'iq_cancel', 'iq_deadline', 'status', 'iq_crashes', 'iq_form', 'iq_cache')
  if fields[3] ~= 'queued' then return 'malformed' end
  if number(fields[4], 0) >= CRASHES_MAX then return 'poison' end
  if fields[1] then return 'cancelled' end
  local deadline = tonumber(fields[2] or '')
  if deadline and deadline <= now then return 'expired' end
  if fields[5] and fields[6] ~= 'refresh' and redis.call('EXISTS', cache_key(fields[5])) == 1 then return 'cached' end
  return nil
end

-- The first non-empty queue of one priority; which one is first takes turns, so that models of one pool share it.
local function pick(pool, state, priority)
  local queues = pool[priority] or {}
  for step = 1, #queues do
    local q = queues[(state.round + step) % #queues + 1]
    local id, tenant = next_in_line(q)
    if id then return q, id, tenant end
  end
  return nil
end

-- Gives a job to another model's pool if one has room now. Returns whether it did.
local function give_elsewhere(state, q, id, tenant, n)
  local home = string.gsub(q, '%.[^.]*$', '')
  local index, tokens = way_out(state, home, id, n)
  if not index then
    if tokens then soonest(tokens) end
    return false
  end
  charge(pools[index], states[index], n, tokens)
  open(states[index], id)
  give(q, id, tenant, pools[index].name, 'run', n, aside(q))
  return true
end

local function serve(pool, state)
  while #given < most do
    local q, id, tenant, priority
    for _, candidate in ipairs(order_of(state)) do
      q, id, tenant = pick(pool, state, candidate)
      if q then priority = candidate; break end
    end
    if not q then state.limited = false; return end
    local kind = special(id)
    if kind then
      give(q, id, tenant, '', kind, 0)
    else
      if state.suspended then state.limited = false; return end
      local held_until = math.max(state.paused_until, state.probe_until)
      if held_until > now then state.limited = false; soonest(held_until - now); return end
      local n, tokens = images_of(id), tokens_of(id)
      local tries = is_on_trial(state) and has_way_out(id)
      if not (tries and now - state.trial_at < TRIAL_US and give_elsewhere(state, q, id, tenant, n)) then
        local due = start_wait(pool, state, n, tokens)
        if due > 0 then state.limited = '1'; soonest(due); return end
        charge(pool, state, n, tokens)
        settle_shares(state, pool, priority, n)
        state.round = state.round + 1
        give(q, id, tenant, pool.name, 'run', n)
        open(state, id)
        if tries then state.trial_at = now end
      end
    end
  end
  soonest(0)
end

-- Jobs of a pool that is shut go to other models' pools, as far as these have room that nobody else wants.
local function spill(pool, state)
  for _, priority in ipairs({'high', 'default', 'low'}) do
    for _, q in ipairs(pool[priority] or {}) do
      while #given < most and is_home_shut(string.match(q, '^(.*)%.')) do
        local id, tenant = next_in_line(q, aside(q))
        if not id then break end
        local kind = special(id)
        if kind then
          give(q, id, tenant, '', kind, 0)
        elseif not give_elsewhere(state, q, id, tenant, images_of(id)) then
          break
        end
      end
    end
  end
end

-- Followers whose result is there, or whose deadline has come. One whose result is gone again takes its place as if it was new.
local function give_answered()
  for _, id in ipairs(redis.call('ZRANGEBYSCORE', ANSWERED, '-inf', whole(now), 'LIMIT', 0, most)) do
    local key = job_key(id)
    local form, q = hget(key, 'iq_form'), hget(key, 'origin') or ''
    if not form or status_of(id) ~= 'deferred' or not hget(key, 'iq_follows') then
      redis.call('ZREM', ANSWERED, id)
    else
      local deadline = counted(key, 'iq_deadline')
      local stored = redis.call('EXISTS', cache_key(form)) == 1
      redis.call('ZREM', ANSWERED, id)
      redis.call('ZREM', joined_key(form), id)
      redis.call('ZREM', registry_key('deferred', q), id)
      if deadline and deadline <= now then
        hand(q, id, '', 'expired')
      elseif stored then
        hand(q, id, '', 'cached')
      else
        ready(q, id, hget(key, 'iq_tenant') or 'default', age_of(key, now), true)
      end
    end
  end
  local first = redis.call('ZRANGE', ANSWERED, 0, 0, 'WITHSCORES')[2]
  if first and tonumber(first) - now < ANSWERED_SOON_US then soonest(tonumber(first) - now) end
end
give_answered()

for _, q in ipairs(plan.unserved or {}) do
  while #given < most do
    local id, tenant = next_in_line(q)
    if not id then break end
    give(q, id, tenant, '', special(id) or 'unserved', 0)
  end
end

-- Pools in the order of their turns: under light load the shares follow the weights, under full load pace decides.
for index, pool in ipairs(pools) do states[index] = load(pool) end
local order = {}
for index = 1, #pools do order[index] = index end
table.sort(order, function(a, b)
  if states[a].turn ~= states[b].turn then return states[a].turn < states[b].turn end
  return a < b
end)
for _, index in ipairs(order) do
  local pool, state = pools[index], states[index]
  local was_limited = state.limited
  serve(pool, state)
  if was_limited and not state.limited then redis.call('HDEL', pool_key(pool.name), 'limited') end
  if state.limited and not was_limited then redis.call('HSET', pool_key(pool.name), 'limited', '1') end
end
for _, index in ipairs(order) do
  if is_shut(states[index]) then spill(pools[index], states[index]) end
end
for index, pool in ipairs(pools) do
  local state = states[index]
  if state.served then
    if state.is_new then redis.call('SADD', OWN .. ':pools', pool.name) end
    redis.call('HSET', pool_key(pool.name), 'image_tat', whole(state.image_tat), 'token_tat', whole(state.token_tat),
      'paused_until', whole(state.paused_until), 'probe_until', whole(state.probe_until), 'turn', string.format('%.6f', state.turn),
      'owed_default', string.format('%.9f', state.owed.default), 'owed_low', string.format('%.9f', state.owed.low),
      'starts', whole(state.starts), 'since_resume', whole(state.since_resume), 'round', whole(state.round % 1000003),
      'opened_at', whole(state.opened_at), 'trial_at', whole(state.trial_at))
    if state.tokens > 0 then redis.call('HINCRBY', pool_key(pool.name), 'tokens', whole(state.tokens)) end
  end
end

-- Ids that somebody put on a list with RQ's own client have no line yet: name their queues, so that they are taken in.
local function look_for_foreign(q)
  local length = queued(q)
  if length > number(redis.call('HGET', meta_key(q), 'indexed'), 0) then foreign[#foreign + 1] = q end
  return length
end
local seen = {}
for _, pool in ipairs(pools) do
  for _, priority in ipairs({'high', 'default', 'low'}) do
    for _, q in ipairs(pool[priority] or {}) do
      if not seen[q] then seen[q] = true; look_for_foreign(q) end
    end
  end
end
for _, q in ipairs(plan.unserved or {}) do
  if not seen[q] then seen[q] = true; look_for_foreign(q) end
end
return {whole(now), whole(wait), 0, foreign, given}
