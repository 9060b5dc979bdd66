-- Does two things that a wasm filter cannot do with a reply: it gives a body to a reply that only has headers, and it
-- reads the body of a failure before the headers are forwarded. This filter runs after the gate, so it sees a reply
-- first.
--
-- Loki answers a stored push with 204, a status without a body. A gRPC sender must get a message and a trailer for it,
-- and a wasm filter can only write these into a reply that has a body. So this filter adds a body of one byte, and
-- tells the gate in `x-sluice-header-only`, with the backend's status. The gate removes both again.
--
-- A backend's message may say more than its status: Loki answers 503 to a push that is too large, and the sender would
-- retry it for ever. So `x-sluice-said` has the body of a failure, in base64.

local MARK = "x-sluice-header-only"
local SAID = "x-sluice-said"

-- The statuses that the gate treats as success.
local STORED = { ["200"] = true, ["202"] = true, ["204"] = true }

-- With these statuses, a reply with a body breaks the stream over HTTP/2 (RFC 9110, 15.3.5 and 15.4.5).
local WITHOUT_BODY = { ["204"] = true, ["304"] = true }

-- The maximum size of a failure's body that the gate reads, in bytes.
local MOST = 65536

-- The gate sets this header on every request that it forwards to a backend. All other replies, above all the gate's
-- own, stay unchanged.
local ROUTED = "x-sluice-backend"

function envoy_on_request(request)
  if request:headers():get(ROUTED) ~= nil then
    request:streamInfo():dynamicMetadata():set("sluice", "routed", true)
  end
end

function envoy_on_response(reply)
  if reply:streamInfo():dynamicMetadata():get("sluice") == nil then return end
  local headers = reply:headers()
  headers:remove(MARK) -- a backend must not set it
  local status = headers:get(":status")
  local failed = not STORED[status]
  if failed then headers:remove(SAID) end

  -- A gRPC reply has its status in trailers, or in the headers if it is trailers-only. Its messages must not be
  -- delayed.
  local kind = headers:get("content-type") or ""
  if headers:get("grpc-status") ~= nil or kind:find("application/grpc", 1, true) == 1 then return end

  -- A body with a content-length is not read, except that of a failure. Below, only a body of unknown length is waited
  -- for.
  local length = headers:get("content-length")
  length = length and tonumber(length)
  if length ~= nil and length ~= 0 and not (failed and length <= MOST) then return end

  local body = reply:body(true)
  if body == nil then return end -- trailers came instead

  headers = reply:headers() -- the first ones are not accessible after waiting for the body
  local bytes = body:length()
  if bytes > 0 then
    if failed and bytes <= MOST then headers:add(SAID, reply:base64Escape(body:getBytes(0, bytes))) end
    return
  end
  headers:add(MARK, status)
  if WITHOUT_BODY[status] then headers:replace(":status", "200") end
  body:setBytes("\0") -- also sets content-length
end
