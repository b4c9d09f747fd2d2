-- One order per POST with a key nobody used before. SKUS=1 is a hot SKU, SKUS=10000 a catalogue.
-- Run: SKUS=1 RUN=$RANDOM wrk -t2 -c256 -d10s --latency -s loadtest/wrk/orders.lua http://127.0.0.1:8080
local skus = tonumber(os.getenv("SKUS") or "1")
local run = os.getenv("RUN") or tostring(os.time())
local threads = 0

function setup(thread)
  thread:set("id", threads)
  threads = threads + 1
end

function init()
  math.randomseed(id * 7919 + os.time())
  n, created, other = 0, 0, 0
end

function request()
  n = n + 1
  local sku = "SKU-" .. math.random(1, skus)
  local body = '{"customer_id":"customer-' .. n % 1000 .. '","currency":"EUR","lines":[{"sku":"' .. sku ..
    '","quantity":1,"unit_price":1999}],"total":1999}'
  return wrk.format("POST", "/v1/orders", {
    ["Content-Type"] = "application/json",
    ["Idempotency-Key"] = run .. "-" .. id .. "-" .. n,
  }, body)
end
