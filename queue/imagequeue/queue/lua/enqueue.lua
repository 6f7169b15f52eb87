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
      'iq_age', age, 'iq_deadline', deadline}
    if key_ttl ~= '' then append(fields, 'iq_key_ttl', key_ttl) end
    if overflow ~= '' then append(fields, 'iq_overflow', overflow) end
    if form ~= '' then append(fields, 'iq_form', form, 'iq_cache', mode) end
    if direct then append(fields, 'status', 'queued', 'iq_pos', list_in(q, id, false)) end -- as `enter`, in one write
    redis.call('HSET', key, unpack(fields))
    if later then
      local until_seconds = whole(math.ceil(tonumber(not_before) / 1000000))
      wait_in('scheduled', q, id, until_seconds, '{"reason":"backoff","detail":"not_before is in the future"}')
    elseif direct then
      join_line(q, id, tenant, age)
    elseif ready(q, id, tenant, age, false) == 'answered' then
      redis.call('ZADD', ANSWERED, whole(now + DELIVER_US), id)
      answer = '=' .. redis.call('GET', cache_key(form))
    end
    answers[#answers + 1] = answer
  end
end
return answers
