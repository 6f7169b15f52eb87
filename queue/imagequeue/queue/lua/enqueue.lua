-- include: flight.lua
-- enqueue: puts new jobs on their queues, all of them in one step, each at most once.
--   ARGV[3]  = number of fields before each job's data (FIELDS)
--   then for each job: id, queue, tenant, n, tokens, fingerprint, not_before_us ('' = now), deadline_us ('' = none),
--   result_ttl, description, timeout, rank, form, mode, key_ttl, overflow, data   (form, mode: iq_form and iq_cache of
--   flight.lua, '' = none; key_ttl: seconds after its end for which an idempotency key is known, '' = it has none;
--   overflow: iq_overflow of place.lua, '' = none)
-- rank: microseconds added to the time of now, so that jobs of one call keep their order.
-- Returns for each job: '' when it is new, '=' and the stored result when that answers it (deliver.lua, or else a worker, ends
-- it), else the fingerprint it was first enqueued with ('?' when it had none).
local FIELDS = tonumber(ARGV[3])
local DELIVER_US = 2000000 -- so long the enqueuer has to end what a stored result answers, before a worker does
local now = now_us()
local at = iso(now)
local answers = {}

local function append(list, ...)
  for _, value in ipairs({...}) do list[#list + 1] = value end
end

-- Jobs that can start now are written one by one; their ids join the list and the lines together: `joining`, queue ->
-- {ids = what the list gets, next = position of the next one, lines = line -> tenant -> age, id, age, id, ...}.
local joining = {}

local function join_later(q, id, tenant, age, overflow)
  local group = joining[q]
  if not group then
    local head = tonumber(redis.call('HGET', meta_key(q), 'head') or '0')
    group = {ids = {}, next = head + redis.call('LLEN', list_key(q)), lines = {}}
    joining[q] = group
  end
  group.ids[#group.ids + 1] = id
  for _, line in ipairs(overflow == '' and {q} or {q, aside(q)}) do
    local tenants = group.lines[line] or {}
    local places = tenants[tenant] or {}
    places[#places + 1] = age
    places[#places + 1] = id
    tenants[tenant] = places
    group.lines[line] = tenants
  end
  group.next = group.next + 1
  return whole(group.next - 1)
end

local function join_now()
  for q, group in pairs(joining) do
    redis.call('SADD', RQ .. ':queues', list_key(q))
    redis.call('RPUSH', list_key(q), unpack(group.ids))
    for line, tenants in pairs(group.lines) do
      for tenant, places in pairs(tenants) do stand_all_in(line, tenant, places) end
    end
  end
  joining = {}
end

for base = 4, #ARGV, FIELDS do
  local id, q, tenant, n, tokens, fingerprint, not_before, deadline, ttl, description, timeout, rank, form, mode, key_ttl,
    overflow, data =
    unpack(ARGV, base, base + FIELDS - 1)
  local key = job_key(id)
  local asked = key_ttl ~= '' and redis.pcall('GET', asked_key(id))
  if redis.call('EXISTS', key) == 1 then
    answers[#answers + 1] = hget(key, 'iq_fingerprint') or '?'
  elseif type(asked) == 'string' then
    answers[#answers + 1] = asked
  else
    local age, answer = whole(now + tonumber(rank)), ''
    local later = not_before ~= '' and tonumber(not_before) > now
    local direct = form == '' and not later
    local fields = {'created_at', at, 'enqueued_at', at, 'data', data, 'origin', q, 'description', description,
      'timeout', timeout, 'result_ttl', ttl, 'failure_ttl', ttl, 'started_at', '', 'ended_at', '', 'last_heartbeat', '',
      'worker_name', '', 'group_id', '', 'success_callback_name', '', 'failure_callback_name', '',
      'stopped_callback_name', '', 'iq_tenant', tenant, 'iq_n', n, 'iq_tokens', tokens, 'iq_fingerprint', fingerprint,
      'iq_age', age}
    if deadline ~= '' then append(fields, 'iq_deadline', deadline) end
    if key_ttl ~= '' then append(fields, 'iq_key_ttl', key_ttl) end
    if overflow ~= '' then append(fields, 'iq_overflow', overflow) end
    if form ~= '' then append(fields, 'iq_form', form, 'iq_cache', mode) end
    if direct then append(fields, 'status', 'queued', 'iq_pos', join_later(q, id, tenant, age, overflow)) end
    redis.call('HSET', key, unpack(fields))
    if not direct then join_now() end -- what follows may move others on the list
    if later then
      local until_seconds = whole(math.ceil(tonumber(not_before) / 1000000))
      wait_in('scheduled', q, id, until_seconds, '{"reason":"backoff","detail":"not_before is in the future"}')
    elseif not direct and ready(q, id, tenant, age, false) == 'answered' then
      redis.call('ZADD', ANSWERED, whole(now + DELIVER_US), id)
      answer = '=' .. redis.call('GET', cache_key(form))
    end
    answers[#answers + 1] = answer
  end
end
join_now()
return answers
