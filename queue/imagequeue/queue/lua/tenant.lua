-- include: place.lua
-- tenant: holds a tenant's jobs back, or releases them. Held jobs keep their places on RQ's lists and in their lines.
--   ARGV[3] = hold, release or recheck   ARGV[4] = tenant   ARGV[5] = why, JSON (hold)   ARGV[6..] = queues
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
if act == 'hold' then
  redis.call('HSET', HELD, tenant, ARGV[5])
  for index = 6, #ARGV do
    redis.call('ZREM', tenants_key(ARGV[index]), tenant)
    redis.call('ZREM', tenants_key(aside(ARGV[index])), tenant)
  end
else
  redis.call('HDEL', HELD, tenant)
  for index = 6, #ARGV do
    for _, q in ipairs({ARGV[index], aside(ARGV[index])}) do
      if redis.call('EXISTS', line_key(q, tenant)) == 1 and not redis.call('ZSCORE', tenants_key(q), tenant) then
        redis.call('ZADD', tenants_key(q), redis.call('HGET', meta_key(q), 'vtime') or '0', tenant)
      end
    end
  end
end
return 1
