-- include: ending.lua
-- settle: the end of a claimed job, for the holder of the claim only.
--   ARGV[3] = worker   ARGV[4] = id   ARGV[5] = delivery   ARGV[6] = finished, failed or canceled   ARGV[7] = ttl, seconds
--   ARGV[8] = RQ's result type (1 successful, 2 failed)   ARGV[9] = RQ's result field   ARGV[10] = its value
--   ARGV[11] = seconds it ran   ARGV[12] = error, JSON ('' = none)
--   ARGV[13] = pool ('' = no correction)   ARGV[14] = microseconds of token pace to add (negative: give back)
--   ARGV[18] = the same at the provider's ceiling, for the level that is charged when a call is sent
--   ARGV[15] = the result to store, JSON, if the job takes part in the cache ('' = none)   ARGV[16] = seconds it is kept
--   ARGV[17] = where its images came from: made or cached ('' = it has none)
-- Returns 1, or 0 when the claim is somebody else's by now.
local worker, id, delivery, status, ttl = ARGV[3], ARGV[4], ARGV[5], ARGV[6], tonumber(ARGV[7])
local now = now_us()
local q = end_claim(worker, id, delivery)
if not q then return 0 end
local key = job_key(id)
if ARGV[12] ~= '' then redis.call('HSET', key, 'iq_error', ARGV[12]) end
local form = hget(key, 'iq_form')
if form and ARGV[15] ~= '' then
  if hget(key, 'iq_cache') == 'refresh' then
    redis.call('SET', cache_key(form), ARGV[15], 'EX', ARGV[16])
  else
    redis.call('SET', cache_key(form), ARGV[15], 'EX', ARGV[16], 'NX')
  end
end
if ARGV[17] == 'made' then
  count_images(now, 'made', q, images_of(id))
elseif ARGV[17] == 'cached' then
  local follows = hget(key, 'iq_follows') or '-'
  count_images(now, follows == '-' and 'stored' or 'joined', q, images_of(id))
end
finish(q, id, status, ttl, now)
if ARGV[8] ~= '' then
  local results = RQ .. ':results:' .. id
  redis.call('XADD', results, 'MAXLEN', '10', '*', 'type', ARGV[8], 'worker_name', worker, ARGV[9], ARGV[10],
    'execution_id', worker .. '-' .. delivery, 'execution_ended_at', string.format('%.6f', now / 1000000))
  redis.call('EXPIRE', results, ttl)
end
local worker_key = RQ .. ':worker:' .. worker
if redis.call('EXISTS', worker_key) == 1 then
  redis.call('HINCRBY', worker_key, status == 'finished' and 'successful_job_count' or 'failed_job_count', 1)
  redis.call('HINCRBYFLOAT', worker_key, 'total_working_time', ARGV[11])
end
if ARGV[13] ~= '' then
  local pool = pool_key(ARGV[13])
  local tats = redis.call('HMGET', pool, 'token_tat', 'sent_token_tat')
  redis.call('HSET', pool, 'token_tat', whole(math.max(tonumber(tats[1] or '0') + tonumber(ARGV[14]), 0)),
    'sent_token_tat', whole(math.max(tonumber(tats[2] or '0') + tonumber(ARGV[18]), 0)))
end
return 1
