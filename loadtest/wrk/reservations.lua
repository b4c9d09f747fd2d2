-- A batch of reservations per POST, each item under a key nobody used before. SKUS=1 is a hot SKU, SKUS=10000 a catalogue.
-- The bodies are made once; of each only the number in its keys changes, so that the load costs little of what it measures.
-- Run: ITEMS=4096 SKUS=1 RUN=$RANDOM wrk -t2 -c8 -d10s --latency -s loadtest/wrk/reservations.lua http://127.0.0.1:8080
local ffi = require("ffi")
local items = tonumber(os.getenv("ITEMS") or "4096")
local skus = tonumber(os.getenv("SKUS") or "1")
local run = os.getenv("RUN") or tostring(os.time())
local DIGITS, BODIES = 8, 16
local threads = 0

function setup(thread)
  thread:set("id", threads)
  threads = threads + 1
end

-- A body as bytes, and where in it the number of its request stands, once in each item.
local function body()
  local parts, length, places = { '{"items":[' }, 10, ffi.new("int32_t[?]", items)
  for item = 1, items do
    local before = (item > 1 and "," or "") .. '{"key":"' .. run .. "-" .. id .. "-" .. item .. "-"
    local after = '","lines":[{"sku":"SKU-' .. math.random(1, skus) .. '","quantity":1}],"ttl_seconds":600}'
    places[item - 1] = length + #before
    parts[#parts + 1] = before .. string.rep("0", DIGITS) .. after
    length = length + #parts[#parts]
  end
  local text = table.concat(parts) .. "]}"
  local bytes = ffi.new("char[?]", #text)
  ffi.copy(bytes, text, #text)
  return { bytes = bytes, length = #text, places = places }
end

function init()
  math.randomseed(id * 7919 + os.time())
  n, bodies = 0, {}
  for number = 1, BODIES do bodies[number] = body() end
end

function request()
  n = n + 1
  local body, number = bodies[n % BODIES + 1], string.format("%0" .. DIGITS .. "d", n)
  for item = 0, items - 1 do ffi.copy(body.bytes + body.places[item], number, DIGITS) end
  local headers = { ["Content-Type"] = "application/json" }
  return wrk.format("POST", "/v1/reservations:batch", headers, ffi.string(body.bytes, body.length))
end
