-- include: flight.lua
-- audit: where jobs stand, and what is wrong with it; all places of one job are read in one step.
--   ARGV[3] = 1 to repair   ARGV[4..] = job ids
-- Places: listed (RQ's list), lined (its tenant's line), scheduled, deferred, claimed (by a worker of ours, living or not yet
-- reaped), wip (RQ's registry of started jobs, by a stock worker), intermediate (RQ's list between pop and start).
-- Findings, for each job that is not where its status says, exactly once:
--   orphan      in no place at all: left by a stock worker that died; repaired by queueing it again
--   unlisted    in its line but not on RQ's list, or the other way round after it had a line; repaired by entering it anew
--   double      also in a place that its status does not name; repaired by removing it there
--   unreadable  a key of that name that is no hash, or a status that RQ does not know; not repaired
--   unled       deferred behind a call that nobody makes; repaired by one of those who wait making it
--   foreign     started by a stock RQ worker, which is not ours to judge; not repaired
-- Returns {{id, queue, status, finding, detail, 1 when repaired}, ...}.
local repair = ARGV[3] == '1'
local PLACE = {queued = 'listed', scheduled = 'scheduled', deferred = 'deferred', started = 'claimed'}
local ENDED = {finished = true, failed = true, canceled = true, stopped = true}
local now = now_us()
local findings = {}

local function report(id, q, status, finding, detail, repaired)
  findings[#findings + 1] = {id, q, status, finding, detail, repaired and 1 or 0}
end

-- A job that is not queued and has no position is not searched for: a stale entry of it is dropped when its turn comes.
local function is_listed(q, id, status)
  local head = tonumber(redis.call('HGET', meta_key(q), 'head') or '0')
  local position = tonumber(hget(job_key(id), 'iq_pos') or '')
  if position and position >= head and redis.call('LINDEX', list_key(q), whole(position - head)) == id then return true end
  if not position and status ~= 'queued' then return false end
  return redis.call('LPOS', list_key(q), id) and true or false
end

local function wip_of_others(q, id)
  for _, member in ipairs(redis.call('ZRANGE', registry_key('wip', q), 0, 999)) do
    if string.sub(member, 1, #id + 1) == id .. ':' and redis.call('ZSCORE', registry_key('wip', q), member) ~= 'inf' then
      return member
    end
  end
  return nil
end

local function places(q, id, tenant, status)
  local found = {}
  if is_listed(q, id, status) then found.listed = true end
  if redis.call('ZSCORE', line_key(q, tenant), id) then found.lined = true end
  if redis.call('ZSCORE', registry_key('scheduled', q), id) then found.scheduled = true end
  if redis.call('ZSCORE', registry_key('deferred', q), id) then found.deferred = true end
  local worker = hget(job_key(id), 'worker_name')
  if worker and worker ~= '' and redis.call('HEXISTS', claims_key(worker), id) == 1 then found.claimed = true end
  if redis.call('LPOS', list_key(q) .. ':intermediate', id) then found.intermediate = true end
  return found
end

local function remove_from(place, q, id, tenant)
  if place == 'listed' or place == 'lined' then
    leave(q, id, tenant)
  elseif place == 'scheduled' or place == 'deferred' then
    redis.call('ZREM', registry_key(place, q), id)
  elseif place == 'intermediate' then
    redis.call('LREM', list_key(q) .. ':intermediate', 0, id)
  end
end

-- Queues a job again: in its line when it had one, else on RQ's list, where it is taken in and checked like any other.
local function queue_again(q, id, tenant, found)
  for place in pairs(found) do remove_from(place, q, id, tenant) end
  if hget(job_key(id), 'iq_tenant') then
    local form = hget(job_key(id), 'iq_form')
    if form then unfollow(form, id) end
    ready(q, id, tenant, hget(job_key(id), 'iq_age') or whole(now), true)
  else
    redis.call('SADD', RQ .. ':queues', list_key(q))
    redis.call('HSET', job_key(id), 'status', 'queued')
    redis.call('RPUSH', list_key(q), id)
  end
end

local function look_queued(q, id, tenant, found)
  local had_line = hget(job_key(id), 'iq_tenant')
  if found.intermediate and not found.listed then
    if repair then queue_again(q, id, tenant, found) end
    report(id, q, 'queued', 'orphan', 'on the intermediate list of a stock worker', repair)
  elseif not found.listed and not found.lined then
    if repair then queue_again(q, id, tenant, found) end
    report(id, q, 'queued', 'orphan', 'in no place', repair)
  elseif found.listed ~= found.lined and had_line then
    if repair then queue_again(q, id, tenant, found) end
    report(id, q, 'queued', 'unlisted', found.lined and 'in line but not on the list' or 'on the list but not in line', repair)
  end
end

local function look_doubles(q, id, tenant, status, found)
  for place in pairs(found) do
    local belongs = place == PLACE[status] or (place == 'lined' and status == 'queued') or place == 'intermediate'
    if not belongs and place ~= 'claimed' then
      if repair then remove_from(place, q, id, tenant) end
      report(id, q, status, 'double', 'also ' .. place, repair)
    elseif not belongs then
      report(id, q, status, 'double', 'also claimed by ' .. hget(job_key(id), 'worker_name'), false)
    end
  end
end

-- A follower is answered, or somebody makes the call that it waits for; nobody else is in the followers' books.
local function look_following(q, id, status)
  local form = hget(job_key(id), 'iq_form')
  if not form then return end
  local joined = redis.call('ZSCORE', joined_key(form), id)
  local answered = redis.call('ZSCORE', ANSWERED, id)
  local follows = status == 'deferred' and hget(job_key(id), 'iq_follows')
  if not follows and (joined or answered) then
    if repair then unfollow(form, id) end
    report(id, q, status, 'double', 'also a follower', repair)
  elseif follows and not (joined and (leader_of(form) or redis.call('EXISTS', cache_key(form)) == 1))
    and not (answered and (not joined or tonumber(answered) <= now)) then
    if repair then
      unfollow(form, id)
      ready(q, id, hget(job_key(id), 'iq_tenant') or 'default', age_of(job_key(id), now), true)
    end
    report(id, q, status, 'unled', 'waits for job ' .. follows .. ', which makes no call', repair)
  end
end

local function look(id)
  if redis.call('TYPE', job_key(id)).ok ~= 'hash' then return report(id, '', '', 'unreadable', 'no hash', false) end
  local q, status = hget(job_key(id), 'origin') or '', status_of(id) or ''
  local tenant = hget(job_key(id), 'iq_tenant') or 'default'
  local found = places(q, id, tenant, status)
  if status == 'queued' then
    look_queued(q, id, tenant, found)
  elseif PLACE[status] and not found[PLACE[status]] then
    local other = status == 'started' and wip_of_others(q, id)
    if other then return report(id, q, status, 'foreign', 'started by a stock worker: ' .. other, false) end
    if repair then queue_again(q, id, tenant, found) end
    return report(id, q, status, 'orphan', 'not ' .. PLACE[status], repair)
  elseif not PLACE[status] and not ENDED[status] then
    return report(id, q, status, 'unreadable', 'a status that no job of ours has', false)
  end
  look_doubles(q, id, tenant, status, found)
  look_following(q, id, status)
end

for index = 4, #ARGV do look(ARGV[index]) end
return findings
