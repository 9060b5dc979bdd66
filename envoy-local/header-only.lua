-- What a wasm filter cannot do with a reply: give one that has headers only a body, and know the body of a failure before the
-- head has gone. This filter stands behind the gate and sees a reply first.
--
-- Loki answers a stored push with 204, a status that cannot carry a body. What a sender over gRPC must get for it is a
-- message and a trailer, and a wasm filter can write those only into a reply that has a body. So one of one byte is put there,
-- and `x-sluice-header-only` tells the gate, with the status that the backend gave; the gate takes header and body off again.
--
-- A backend's words may say more than its status: Loki answers 503 to a push that is too large, and would be sent it for ever.
-- So `x-sluice-said` has the body of a failure, in base64.

local MARK = "x-sluice-header-only"
local SAID = "x-sluice-said"

-- What the gate takes for success.
local STORED = { ["200"] = true, ["202"] = true, ["204"] = true }

-- Over HTTP/2 a reply of these with a body is a broken stream (RFC 9110, 15.3.5 and 15.4.5).
local WITHOUT_BODY = { ["204"] = true, ["304"] = true }

-- The most bytes of a failure's body that the gate reads.
local MOST = 65536

-- The gate has set this on every request that it has sent on to a backend. Other replies, the gate's own above all, are
-- not touched.
local ROUTED = "x-sluice-backend"

function envoy_on_request(request)
  if request:headers():get(ROUTED) ~= nil then
    request:streamInfo():dynamicMetadata():set("sluice", "routed", true)
  end
end

function envoy_on_response(reply)
  if reply:streamInfo():dynamicMetadata():get("sluice") == nil then return end
  local headers = reply:headers()
  headers:remove(MARK) -- a backend has no say in it
  local status = headers:get(":status")
  local failed = not STORED[status]
  if failed then headers:remove(SAID) end

  -- A gRPC reply has its status in trailers, or in headers that stand for them, and its messages are not held up.
  local kind = headers:get("content-type") or ""
  if headers:get("grpc-status") ~= nil or kind:find("application/grpc", 1, true) == 1 then return end

  -- A body that is announced needs no looking at, but for what a failure says. Only one of unknown length is waited for below.
  local length = headers:get("content-length")
  length = length and tonumber(length)
  if length ~= nil and length ~= 0 and not (failed and length <= MOST) then return end

  local body = reply:body(true)
  if body == nil then return end -- trailers came instead

  headers = reply:headers() -- the first ones are out of reach once the body has been waited for
  local bytes = body:length()
  if bytes > 0 then
    if failed and bytes <= MOST then headers:add(SAID, reply:base64Escape(body:getBytes(0, bytes))) end
    return
  end
  headers:add(MARK, status)
  if WITHOUT_BODY[status] then headers:replace(":status", "200") end
  body:setBytes("\0") -- sets content-length too
end
