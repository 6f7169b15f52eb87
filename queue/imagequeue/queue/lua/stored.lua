-- include: flight.lua
-- stored: the result that answers a job, if there is one.
--   ARGV[3] = id
-- Returns {form, result, iq_follows}, each '' when there is none.
local form = hget(job_key(ARGV[3]), 'iq_form')
if not form then return {'', '', ''} end
return {form, redis.call('GET', cache_key(form)) or '', hget(job_key(ARGV[3]), 'iq_follows') or ''}
