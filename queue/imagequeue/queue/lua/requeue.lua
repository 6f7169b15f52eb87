-- include: ending.lua
-- requeue: a claimed job goes back, for the holder of the claim only.
--   ARGV[3] = worker   ARGV[4] = id   ARGV[5] = delivery
--   ARGV[6] = microseconds to wait (0 = to its line at once, -1 = parked until somebody acts)
--   ARGV[7] = why it waits, JSON ('' = it does not)   ARGV[8] = 1 when this delivery counts as one of its attempts
--   ARGV[9] = queue ('' = where it came from)   ARGV[10..] = field, value, ... to set on the job hash
-- In its line a job stands by its age, so one that comes back is ahead of all that came after it.
-- One that was cancelled meanwhile goes there at once, to be ended.
-- Returns 1, or 0 when the claim is somebody else's by now.
local worker, id, delivery = ARGV[3], ARGV[4], ARGV[5]
local now = now_us()
local q = end_claim(worker, id, delivery)
if not q then return 0 end
local key = job_key(id)
if ARGV[8] == '1' then count_up(key, 'iq_tries') end
redis.call('HSET', key, 'worker_name', '')
for index = 10, #ARGV, 2 do
  local form = ARGV[index] == 'iq_form' and hget(key, 'iq_form')
  if form then release(form, id, now) end -- it asks for something else from now on
  redis.call('HSET', key, ARGV[index], ARGV[index + 1])
end
if redis.call('HEXISTS', key, 'iq_cancel') == 1 then
  return_cancelled(q, id, now)
  announce(id, 'queued')
  return 1
end
if ARGV[9] ~= '' then q = ARGV[9] end
local delay = tonumber(ARGV[6])
if delay == 0 then
  ready(q, id, hget(key, 'iq_tenant') or 'default', age_of(key, now), true)
elseif delay < 0 then
  wait_in('deferred', q, id, string.format('%.6f', now / 1000000), ARGV[7])
  local form = hget(key, 'iq_form')
  if form then release(form, id, now) end -- nobody else has to wait for a person
else
  wait_in('scheduled', q, id, string.format('%.6f', (now + delay) / 1000000), ARGV[7])
end
announce(id, delay == 0 and 'queued' or 'waiting')
return 1
