"""The Lua of documents in Redis: each script is one atomic step, which is what a transaction is to a table.

KEYS[1] is the projection's root (see atlas_readmodel.documents). What is beside it:

    <root>                  hash: live, previous, building, last (numbers of generations), epoch, g<N> (its description
                            as JSON), since<N> (when it last went live), hold and hold_until (who holds the live
                            generation, and to which millisecond)
    <root>:g<N>:rows        hash: JSON of the key → JSON of the row
    <root>:g<N>:positions   hash: topic/partition → next offset; `events` → how many were handled
    <root>:g<N>:topics      hash: topic/partition → the topic's id; nothing where it is not known
    <root>:g<N>:parked      hash: topic/partition@offset → the millisecond it was parked, a space, the record as JSON
    <root>:g<N>:requests    hash: topic/partition@offset → what an operator wants done with it
    <root>:rulings          hash: topic/partition@offset → decision, a space, why
    <root>:failures         hash: topic/partition@offset → mark: records, attempts, reader
    <root>:g<N>:readers     hash: topic/partition → who reads it, where it began, how many died there before
"""

_HELPERS = """
local root = KEYS[1]
local function at(number, what) return root .. ':g' .. number .. ':' .. what end
local function now() local t = redis.call('TIME'); return t[1] * 1000 + math.floor(t[2] / 1000) end
local function held() return tonumber(redis.call('HGET', root, 'hold_until') or '0') > now() end
local function drop(field)
  local number = redis.call('HGET', root, field)
  if not number then return end
  for _, what in ipairs({'rows', 'positions', 'topics', 'parked', 'requests', 'readers'}) do
    redis.call('UNLINK', at(number, what))
  end
  redis.call('HDEL', root, field, 'g' .. number, 'since' .. number)
end
"""

# ARGV: what a generation is, as JSON; now. The live one's number and description.
ENSURE_LIVE = (
    _HELPERS
    + """
if redis.call('HEXISTS', root, 'live') == 0 then
  redis.call('HSET', root, 'live', 1, 'last', 1, 'g1', ARGV[1], 'since1', ARGV[2])
  redis.call('HSETNX', root, 'epoch', 0)
end
local live = redis.call('HGET', root, 'live')
return {live, redis.call('HGET', root, 'g' .. live)}
"""
)

# ARGV: what the generation to build is, as JSON, and its version. Its number.
BEGIN = (
    _HELPERS
    + """
local building = redis.call('HGET', root, 'building')
if building then
  local known = cjson.decode(redis.call('HGET', root, 'g' .. building))
  if tostring(known.version) == ARGV[2] then return {building, redis.call('HGET', root, 'g' .. building)} end
  drop('building')
end
local number = redis.call('HINCRBY', root, 'last', 1)
redis.call('HSET', root, 'building', number, 'g' .. number, ARGV[1])
return {tostring(number), ARGV[1]}
"""
)

DISCARD = _HELPERS + "drop('building') return 1"

# ARGV: what the side table's generation is; now. 0: the name is a projection's.
BEGIN_SIDE = (
    _HELPERS
    + """
local live = redis.call('HGET', root, 'live')
if live and #cjson.decode(redis.call('HGET', root, 'g' .. live)).topics > 0 then return 0 end
drop('live') drop('previous') drop('building')
redis.call('DEL', root, root .. ':rulings', root .. ':failures')
redis.call('HSET', root, 'live', 1, 'last', 1, 'epoch', 0, 'g1', ARGV[1], 'since1', ARGV[2])
return 1
"""
)

# ARGV: generation; of each to begin at 0 topic/partition and the topic's id, which may be empty.
ADD_POSITIONS = (
    _HELPERS
    + """
if redis.call('HEXISTS', root, 'g' .. ARGV[1]) == 0 then return 0 end
for n = 2, #ARGV, 2 do
  if redis.call('HSETNX', at(ARGV[1], 'positions'), ARGV[n], 0) == 1 and ARGV[n + 1] ~= '' then
    redis.call('HSET', at(ARGV[1], 'topics'), ARGV[n], ARGV[n + 1])
  end
end
return 1
"""
)

# ARGV: generation; of each topic/partition, the id of the topic that is there now, and where the partition ends.
ADOPT = (
    _HELPERS
    + """
local positions, topics = at(ARGV[1], 'positions'), at(ARGV[1], 'topics')
for n = 2, #ARGV, 3 do
  local offset = redis.call('HGET', positions, ARGV[n])
  if offset and tonumber(offset) <= tonumber(ARGV[n + 2]) then
    redis.call('HSETNX', topics, ARGV[n], ARGV[n + 1])
  end
end
return 1
"""
)

# ARGV: generation; of each the topic, the partition, the topic's id now, the name of the one before, and how many
# partitions there are now.
RENEW = (
    _HELPERS
    + """
local number = ARGV[1]
local positions, topics = at(number, 'positions'), at(number, 'topics')
local function rename(hash, place, former)
  for _, field in ipairs(redis.call('HKEYS', hash)) do
    if string.sub(field, 1, #place + 1) == place .. '@' then
      redis.call('HSET', hash, former .. string.sub(field, #place + 1), redis.call('HGET', hash, field))
      redis.call('HDEL', hash, field)
    end
  end
end
for n = 2, #ARGV, 5 do
  local place, id = ARGV[n] .. '/' .. ARGV[n + 1], ARGV[n + 2]
  local former = ARGV[n + 3] .. '/' .. ARGV[n + 1]
  if redis.call('HGET', topics, place) ~= id then
    -- Decisions are the projection's: where another generation is of the new topic already, they are of that.
    local told = false
    for _, state in ipairs({'live', 'previous', 'building'}) do
      local other = redis.call('HGET', root, state)
      told = told or (other and other ~= number and redis.call('HGET', at(other, 'topics'), place) == id)
    end
    redis.call('HSET', positions, place, 0)
    redis.call('HSET', topics, place, id)
    rename(at(number, 'parked'), place, former)
    rename(at(number, 'requests'), place, former)
    if not told then
      rename(root .. ':rulings', place, former)
      rename(root .. ':failures', place, former)
    end
  end
  for _, field in ipairs(redis.call('HKEYS', positions)) do
    local partition = string.match(field, '/(%d+)$')
    if partition and field == ARGV[n] .. '/' .. partition and tonumber(partition) >= tonumber(ARGV[n + 4])
      and redis.call('HGET', topics, field) ~= id then
      redis.call('HDEL', positions, field)
      redis.call('HDEL', topics, field)
    end
  end
end
return 1
"""
)

# ARGV: generation; now; number of advances, of rows set, of keys deleted, of records released, parked, ruled on; then
# of each what it takes. What stops it: 'held', or the places that are not where the writer left them.
WRITE = (
    _HELPERS
    + """
local number, n = ARGV[1], 9
local live, building = redis.call('HGET', root, 'live'), redis.call('HGET', root, 'building')
if number ~= live and number ~= building then return 'the generation is not written any more' end
if number == live and held() then return 'held' end
local positions, rows, parked = at(number, 'positions'), at(number, 'rows'), at(number, 'parked')
local topics, rulings, lost = at(number, 'topics'), root .. ':rulings', {}
for i = 0, ARGV[3] - 1 do
  local place, expected, id = ARGV[n + i * 5], ARGV[n + i * 5 + 1], ARGV[n + i * 5 + 4]
  local own = redis.call('HGET', topics, place)
  if redis.call('HGET', positions, place) ~= expected or (own and id ~= '' and own ~= id) then
    lost[#lost + 1] = place .. '@' .. expected
  end
end
if #lost > 0 then return table.concat(lost, ', ') end
for _ = 1, ARGV[3] do
  redis.call('HSET', positions, ARGV[n], ARGV[n + 2])
  redis.call('HINCRBY', positions, 'events', ARGV[n + 3])
  n = n + 5
end
for _ = 1, ARGV[4] do redis.call('HSET', rows, ARGV[n], ARGV[n + 1]) n = n + 2 end
for _ = 1, ARGV[5] do redis.call('HDEL', rows, ARGV[n]) n = n + 1 end
for _ = 1, ARGV[6] do
  redis.call('HDEL', parked, ARGV[n])
  redis.call('HDEL', at(number, 'requests'), ARGV[n])
  local ruling = string.match(redis.call('HGET', rulings, ARGV[n]) or '', '^%S+')
  if ruling == 'set_aside' or ruling == 'unread' then redis.call('HDEL', rulings, ARGV[n]) end
  n = n + 1
end
for _ = 1, ARGV[7] do
  local before = redis.call('HGET', parked, ARGV[n])
  local since = before and string.match(before, '^%d+') or ARGV[2]
  redis.call('HSET', parked, ARGV[n], since .. ' ' .. ARGV[n + 1])
  redis.call('HDEL', at(number, 'requests'), ARGV[n])
  n = n + 2
end
for _ = 1, ARGV[8] do redis.call('HSET', rulings, ARGV[n], ARGV[n + 1]) n = n + 2 end
return 'ok'
"""
)

# ARGV: who; for how many milliseconds. 0: somebody else holds it.
HOLD = (
    _HELPERS
    + """
local holder = redis.call('HGET', root, 'hold')
if held() and holder ~= ARGV[1] then return 0 end
redis.call('HSET', root, 'hold', ARGV[1], 'hold_until', string.format('%.0f', now() + ARGV[2]))
return 1
"""
)

LET_GO = (
    _HELPERS
    + "if redis.call('HGET', root, 'hold') == ARGV[1] then redis.call('HDEL', root, 'hold', 'hold_until') end return 1"
)

# ARGV: generation; now. The new epoch, or in words what it is short of.
SWAP = (
    _HELPERS
    + """
local number, live = ARGV[1], redis.call('HGET', root, 'live')
if number ~= redis.call('HGET', root, 'building') then return 'it is not the one that is being built' end
local behind = {}
local held_at = redis.call('HGETALL', at(live, 'positions'))
for i = 1, #held_at, 2 do
  local own = redis.call('HGET', at(number, 'positions'), held_at[i]) or '0'
  if held_at[i] ~= 'events' and tonumber(own) < tonumber(held_at[i + 1]) then
    behind[#behind + 1] = held_at[i] .. ' at ' .. own .. ' of ' .. held_at[i + 1]
  end
  local id = redis.call('HGET', at(live, 'topics'), held_at[i])
  local own_id = redis.call('HGET', at(number, 'topics'), held_at[i])
  if id and own_id and id ~= own_id then behind[#behind + 1] = held_at[i] .. ' is of another topic' end
end
if #behind > 0 then return table.concat(behind, ', ') end
drop('previous')
redis.call('HSET', root, 'since' .. number, ARGV[2], 'previous', live, 'live', number)
redis.call('HDEL', root, 'building', 'hold', 'hold_until')
return redis.call('HINCRBY', root, 'epoch', 1)
"""
)

# ARGV: now. The number that is live again, or 0, and the new epoch.
ROLLBACK = (
    _HELPERS
    + """
local previous, live = redis.call('HGET', root, 'previous'), redis.call('HGET', root, 'live')
if not previous then return {'0', 0} end
redis.call('HSET', root, 'since' .. previous, ARGV[1], 'live', previous, 'previous', live)
return {previous, redis.call('HINCRBY', root, 'epoch', 1)}
"""
)

# ARGV: retry or drop; places. Of the live generation. Those that wait.
ASK = (
    _HELPERS
    + """
local live, asked = redis.call('HGET', root, 'live') or '0', {}
for n = 2, #ARGV do
  if redis.call('HEXISTS', at(live, 'parked'), ARGV[n]) == 1 then
    redis.call('HSET', at(live, 'requests'), ARGV[n], ARGV[1])
    asked[#asked + 1] = ARGV[n]
  end
end
return asked
"""
)

# What there is to say of the live generation; false where there is none.
_OF_LIVE = f"""{_HELPERS}
local live = redis.call('HGET', root, 'live')
if not live then return false end
"""

# ARGV: keys as JSON arrays; none for all rows. The rows of the live generation: those of the keys, and those of the
# keys with a partition, where each has rows of its own. False where there is no live generation.
READ = (
    _OF_LIVE
    + """
local rows, found, partitions = at(live, 'rows'), {}, {}
if #ARGV == 0 then return redis.call('HVALS', rows) end
for _, place in ipairs(redis.call('HKEYS', at(live, 'positions'))) do
  local partition = string.match(place, '/(%d+)$')
  if partition then partitions[partition] = true end
end
for _, key in ipairs(ARGV) do
  found[#found + 1] = redis.call('HGET', rows, key) or nil
  for partition in pairs(partitions) do
    found[#found + 1] = redis.call('HGET', rows, string.sub(key, 1, -2) .. ',' .. partition .. ']') or nil
  end
end
return found
"""
)

# The positions of the live generation, false where there is none.
POSITIONS = (
    _OF_LIVE
    + """
return redis.call('HGETALL', at(live, 'positions'))
"""
)
