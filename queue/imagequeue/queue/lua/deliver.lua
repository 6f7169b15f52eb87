-- include: ending.lua
-- deliver: the enqueuer ends jobs that a stored result answers, once the ledger has their outcomes.
--   ARGV[3] = number of fields for each job (FIELDS)   then for each: id, ttl, RQ's return value, encoded
-- Returns for each 1, or 0 when a worker has taken it up, or it has ended.
local FIELDS = tonumber(ARGV[3])
local now = now_us()
local answers = {}
for base = 4, #ARGV, FIELDS do
  local id, ttl, value = unpack(ARGV, base, base + FIELDS - 1)
  local key = job_key(id)
  if status_of(id) == 'deferred' and hget(key, 'iq_follows') == '-' then
    local q = hget(key, 'origin') or ''
    redis.call('ZREM', registry_key('deferred', q), id)
    redis.call('HDEL', key, 'iq_wait')
    count_images(now, 'stored', q, images_of(id))
    finish(q, id, 'finished', ttl, now)
    redis.call('XADD', RQ .. ':results:' .. id, 'MAXLEN', '10', '*', 'type', '1', 'worker_name', '', 'return_value', value)
    redis.call('EXPIRE', RQ .. ':results:' .. id, ttl)
    answers[#answers + 1] = 1
  else
    answers[#answers + 1] = 0
  end
end
return answers
