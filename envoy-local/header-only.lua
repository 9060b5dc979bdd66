-- Gives a reply that has headers only a body of one byte.
--
-- Loki answers a stored push with 204, a status that cannot carry a body. What a sender over gRPC must get for it is a
-- message and a trailer, and a wasm filter can write those only into a reply that has a body. So this filter, which stands
-- behind the gate and sees a reply first, puts one there. It tells the gate with `x-sluice-header-only`, whose value is the
-- status that the backend gave; the gate takes header and body off again.

local MARK = "x-sluice-header-only"

-- Over HTTP/2 a reply of these with a body is a broken stream (RFC 9110, 15.3.5 and 15.4.5).
local WITHOUT_BODY = { ["204"] = true, ["304"] = true }

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

  -- A gRPC reply has its status in trailers, or in headers that stand for them, and its messages are not held up.
  local kind = headers:get("content-type") or ""
  if headers:get("grpc-status") ~= nil or kind:find("application/grpc", 1, true) == 1 then return end

  -- A body that is announced needs no looking at. Only one of unknown length is waited for below.
  local length = headers:get("content-length")
  if length ~= nil and tonumber(length) ~= 0 then return end

  local body = reply:body(true)
  if body == nil or body:length() > 0 then return end -- nil: trailers came instead

  headers = reply:headers() -- the first ones are out of reach once the body has been waited for
  local status = headers:get(":status")
  headers:add(MARK, status)
  if WITHOUT_BODY[status] then headers:replace(":status", "200") end
  body:setBytes("\0") -- sets content-length too
end
