-- include: flight.lua
-- adopt: a job that stands on a list without a line gets one, where it stands.
--   ARGV[3] = queue   ARGV[4] = id   ARGV[5] = tenant   ARGV[6] = n   ARGV[7] = tokens   ARGV[8] = result_ttl
--   ARGV[9] = deadline_us ('' = none)   ARGV[10] = not_before_us ('' = now)   ARGV[11] = queue it belongs on
--   ARGV[12] = index at which it was seen   ARGV[13], ARGV[14] = iq_form and iq_cache of flight.lua ('' = none)
--   ARGV[15] = iq_overflow of place.lua ('' = none)
-- Returns 1, or 0 when it is no longer on the list.
local q, id, tenant, to = ARGV[3], ARGV[4], ARGV[5], ARGV[11]
local key, list, meta = job_key(id), list_key(q), meta_key(q)
if redis.call('TYPE', key).ok ~= 'hash' then return 0 end
local index = tonumber(ARGV[12])
if redis.call('LINDEX', list, index) ~= id then index = redis.call('LPOS', list, id) end
if not index then return 0 end
local now = now_us()
local age = age_of(key, now)
redis.call('HSET', key, 'iq_age', age, 'iq_tenant', tenant, 'iq_n', ARGV[6], 'iq_tokens', ARGV[7], 'iq_deadline', ARGV[9], 'result_ttl', ARGV[8],
  'failure_ttl', ARGV[8])
redis.call('PERSIST', key)
if ARGV[15] ~= '' then redis.call('HSET', key, 'iq_overflow', ARGV[15]) end
if ARGV[13] ~= '' then redis.call('HSET', key, 'iq_form', ARGV[13], 'iq_cache', ARGV[14]) end
local waits = ARGV[10] ~= '' and tonumber(ARGV[10]) > now
if to == q and not waits and ARGV[13] == '' then
  local head = tonumber(redis.call('HGET', meta, 'head') or '0')
  redis.call('HSET', key, 'status', 'queued', 'origin', q, 'iq_pos', whole(head + index))
  join_line(q, id, tenant, age)
else
  redis.call('LREM', list, 1, id)
  redis.call('HDEL', key, 'iq_pos')
  if waits then
    wait_in('scheduled', to, id, whole(math.ceil(tonumber(ARGV[10]) / 1000000)), '{"reason":"backoff","detail":"not_before is in the future"}')
  else
    ready(to, id, tenant, age, false)
  end
end
return 1
