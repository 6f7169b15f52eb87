-- include: place.lua
-- held: what the server believes a worker holds; it finds here what a lost reply of claim gave it.
--   ARGV[3] = worker   ARGV[4..] = ids it knows of
-- Returns {{id, queue, pool, delivery, data, kind, tries}, ...} of the others.
local worker = ARGV[3]
local known = {}
for index = 4, #ARGV do known[ARGV[index]] = true end
local others = {}
local claims = redis.call('HGETALL', claims_key(worker))
for index = 1, #claims, 2 do
  local id = claims[index]
  if not known[id] then
    local delivery, q = string.match(claims[index + 1], '^(%d+) (.*)$')
    others[#others + 1] = {id, q, hget(job_key(id), 'iq_pool') or '', delivery, hget(job_key(id), 'data') or '', 'run',
      whole(counted(job_key(id), 'iq_tries') or 0)}
  end
end
return others
