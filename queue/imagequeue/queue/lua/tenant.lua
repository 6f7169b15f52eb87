-- include: place.lua
-- tenant: holds a tenant's jobs back, or releases them. Held jobs keep their places on RQ's lists and in their lines.
--   ARGV[3] = hold, release or recheck   ARGV[4] = tenant   ARGV[5] = why, JSON (hold)
-- On every queue that RQ knows: a worker may serve one of them, or another be suspended at this moment.
-- What a person held (without a time to look again, recheck_at) only a person releases: `recheck` and a hold that has
-- such a time leave it as it is.
-- Returns 1, or 0 when it was left.
local act, tenant = ARGV[3], ARGV[4]
drain_under_oom()
local function by_a_person(why)
  local fine, held = pcall(cjson.decode, why or '{"recheck_at":0}')
  return fine and (held.recheck_at == nil or held.recheck_at == cjson.null)
end
local standing = redis.call('HGET', HELD, tenant)
if act ~= 'release' and standing and by_a_person(standing) and not (act == 'hold' and by_a_person(ARGV[5])) then return 0 end
local lines = {}
for _, list in ipairs(redis.call('SMEMBERS', RQ .. ':queues')) do
  local q = string.sub(list, #list_key('') + 1)
  lines[#lines + 1] = q
  lines[#lines + 1] = aside(q)
end
if act == 'hold' then
  redis.call('HSET', HELD, tenant, ARGV[5])
  for _, q in ipairs(lines) do redis.call('ZREM', tenants_key(q), tenant) end
else
  redis.call('HDEL', HELD, tenant)
  for _, q in ipairs(lines) do
    if redis.call('EXISTS', line_key(q, tenant)) == 1 and not redis.call('ZSCORE', tenants_key(q), tenant) then
      redis.call('ZADD', tenants_key(q), redis.call('HGET', meta_key(q), 'vtime') or '0', tenant)
    end
  end
end
return 1
