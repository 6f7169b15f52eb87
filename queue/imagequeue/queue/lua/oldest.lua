-- oldest: the age of the job that has waited longest in a queue; reads only.
--   ARGV[1] = RQ's prefix, ARGV[2] = our prefix
--   ARGV[3] = queue   ARGV[4] = how many tenants in line are looked at   ARGV[5..] = further tenants, held back
-- Keys, made from the prefixes as everywhere (decision 3):
--   <own>:tenants:<q>         sorted set, tenant -> virtual time
--   <own>:line:<q>:<tenant>   sorted set, job -> age in microseconds
-- Returns the least age as a whole number in text, '' when nothing is in line.
-- One call for each tenant happens here and not over the connection: with 100 tenants that is most of a status's cost.
local own, queue = ARGV[2], ARGV[3]
local oldest = nil

local function look(tenant)
  local first = redis.call('ZRANGE', own .. ':line:' .. queue .. ':' .. tenant, 0, 0, 'WITHSCORES')
  local age = tonumber(first[2])
  if age and (not oldest or age < oldest) then oldest = age end
end

for _, tenant in ipairs(redis.call('ZRANGE', own .. ':tenants:' .. queue, 0, tonumber(ARGV[4]) - 1)) do look(tenant) end
for index = 5, #ARGV do look(ARGV[index]) end
return oldest and string.format('%.0f', oldest) or ''
