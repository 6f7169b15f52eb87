-- include: place.lua
-- standing: how the lines of one queue stand: whose turn is when, how many jobs wait, and how large they are.
--   ARGV[3] = queue   ARGV[4] = most lines to look at   ARGV[5] = most jobs to look at, over all lines or in a wanted one
--   ARGV[6..] = tenants whose own line is looked at over its whole length
-- Only jobs that could start are counted: held tenants have no turn. Of a line the first jobs are looked at, since they
-- are served first; of a wanted one as many evenly spread.
-- Returns {jobs a second that join, {{tenant, turn, length, tokens of those looked at, {images of each}}...},
--   {{tenant, rank, images, tokens, rank, images, tokens...}...}}.
local q, lines_max, looks_max = ARGV[3], tonumber(ARGV[4]), tonumber(ARGV[5])

local turns = redis.call('ZRANGE', tenants_key(q), 0, lines_max - 1, 'WITHSCORES')
local looks = math.max(math.floor(looks_max / math.max(#turns / 2, 1)), 1)
local lines = {}
for index = 1, #turns, 2 do
  local line = line_key(q, turns[index])
  local images, tokens = {}, 0
  for step, id in ipairs(redis.call('ZRANGE', line, 0, looks - 1)) do
    local n, count = images_of(id), tokens_of(id)
    images[step], tokens = n, tokens + count
  end
  lines[#lines + 1] = {turns[index], turns[index + 1], redis.call('ZCARD', line), tokens, images}
end

local wanted = {}
for index = 6, #ARGV do
  local line, found = line_key(q, ARGV[index]), {ARGV[index]}
  local length = redis.call('ZCARD', line)
  local taken = math.min(length, looks_max)
  local ids = length <= looks_max and redis.call('ZRANGE', line, 0, -1)
  for step = 0, taken - 1 do
    local rank = math.floor(step * length / taken)
    local id = ids and ids[step + 1] or redis.call('ZRANGE', line, rank, rank)[1]
    local n, count = images_of(id), tokens_of(id)
    found[#found + 1], found[#found + 2], found[#found + 3] = rank, n, count
  end
  wanted[#wanted + 1] = found
end
return {redis.call('HGET', meta_key(q), 'arrivals') or '0', lines, wanted}
