"""The one Redis script of a request: all its limits, all or nothing, by the server's clock, and the revocation.

GCRA (the generic cell rate algorithm, ITU-T I.371): a key holds the theoretical arrival time (TAT) in microseconds. A
cost `c` fits when max(TAT, now) + c·interval - burst·interval is not after now.
"""

GCRA = """
-- KEYS[1]: revocation key; KEYS[2..]: one per limit. ARGV: interval, burst, cost for each limit.
if redis.call('EXISTS', KEYS[1]) == 1 then
  return {1}
end
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local answer, fits, tats = {0}, true, {}
for i = 2, #KEYS do
  local at = (i - 2) * 3
  local interval, burst, cost = tonumber(ARGV[at + 1]), tonumber(ARGV[at + 2]), tonumber(ARGV[at + 3])
  local tat = math.max(tonumber(redis.call('GET', KEYS[i]) or now), now)
  local after = tat + interval * cost
  local early = after - interval * burst - now
  if early > 0 then
    fits = false
    answer[#answer + 1] = math.floor((interval * burst - (tat - now)) / interval)
    answer[#answer + 1] = tat - now
    answer[#answer + 1] = early
  else
    tats[i] = after
    answer[#answer + 1] = math.floor((interval * burst - (after - now)) / interval)
    answer[#answer + 1] = after - now
    answer[#answer + 1] = 0
  end
end
if fits then
  for i = 2, #KEYS do
    redis.call('SET', KEYS[i], string.format('%.0f', tats[i]), 'PX', math.ceil((tats[i] - now) / 1000))
  end
end
return answer
"""
