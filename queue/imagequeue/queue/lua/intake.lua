-- include: place.lua
-- intake: finds ids on a queue's list that have no line: put there by RQ's own client, or left by its own workers.
--   ARGV[3] = queue   ARGV[4] = most ids to return   ARGV[5] = most bytes of `data` that are looked at
-- Looks at both ends of the list and at a window that moves on with every call, so that each call is bounded.
-- Returns {{id, status, bytes of data, data ('' when there are too many), index on the list}, ...}; an id without a hash has
-- status ''. Ids that stand on the list twice, or whose job has another place, are taken off here.
local q, most, bytes_max = ARGV[3], tonumber(ARGV[4]), tonumber(ARGV[5])
local ENDS, WINDOW = 64, 256
local list, meta = list_key(q), meta_key(q)
local length = redis.call('LLEN', list)
local cursor = tonumber(redis.call('HGET', meta, 'cursor') or '0')
if cursor >= length then cursor = 0 end
local ELSEWHERE = {started = true, scheduled = true, deferred = true, finished = true, failed = true, canceled = true, stopped = true}
local found, seen, doubles = {}, {}, {}

local function look(id, index)
  if seen[id] or #found >= most then return end
  seen[id] = true
  local key = job_key(id)
  if redis.call('TYPE', key).ok ~= 'hash' then
    found[#found + 1] = {id, '', 0, '', index}
    return
  end
  local status = status_of(id) or ''
  if ELSEWHERE[status] and not (status == 'scheduled' and not redis.call('ZSCORE', registry_key('scheduled', q), id)) then
    doubles[#doubles + 1] = id
    return
  end
  local tenant = hget(key, 'iq_tenant') or ''
  if hget(key, 'iq_pos') and redis.call('ZSCORE', line_key(hget(key, 'origin') or q, tenant), id) then return end
  local bytes = redis.call('HSTRLEN', key, 'data')
  found[#found + 1] = {id, status, bytes, bytes <= bytes_max and hget(key, 'data') or '', index}
end

local function look_from(start, stop)
  for offset, id in ipairs(redis.call('LRANGE', list, start, stop)) do look(id, start + offset - 1) end
end
look_from(0, ENDS - 1)
look_from(math.max(length - ENDS, 0), length - 1)
look_from(cursor, cursor + WINDOW - 1)
redis.call('HSET', meta, 'cursor', whole(cursor + WINDOW))
for _, id in ipairs(doubles) do redis.call('LREM', list, 1, id) end
-- The count of those with a line is mended from the lines themselves whenever nothing foreign was found.
if #found == 0 and length <= 2 * ENDS + WINDOW then
  local indexed = 0
  for _, tenant in ipairs(redis.call('ZRANGE', tenants_key(q), 0, -1)) do
    indexed = indexed + redis.call('ZCARD', line_key(q, tenant))
  end
  redis.call('HSET', meta, 'indexed', indexed)
  local kept = {}
  for _, id in ipairs(redis.call('LRANGE', list, 0, -1)) do
    if kept[id] then redis.call('LREM', list, -1, id) end
    kept[id] = true
  end
end
return found
