-- Asks the service whether a request may pass: `http-request lua.mfa` of haproxy.cfg. You need not change it. `txn.asked` is what
-- is asked besides, such as "?maxAge=900" for a code of the last 15 minutes.

local QUESTION = "http://" .. os.getenv("MFA_SERVICE") .. "/mfa/forward-auth"
-- For one try. HAProxy tries four times. The service answers 503 by itself if its database is gone.
local TIMEOUT_MS = 1000

-- The headers that carry tokens, from the client or from a gateway before HAProxy. The service reads only the `header` of its
-- issuers. If yours has another name, add it here.
local TOKENS = { "authorization", "x-forwarded-access-token", "cf-access-jwt-assertion", "x-goog-iap-jwt-assertion", "oidc_access_token" }
-- A longer address gets no return_to.
local LONGEST = 2048

-- What the application gets. If one is missing, the request does not pass.
local IDENTITY = { "x-mfa-user", "x-mfa-subject", "x-mfa-namespace", "x-mfa-tenant", "x-mfa-acr", "x-mfa-reason" }
-- What a client gets with a refusal, and what a page of another origin may read of it.
local REFUSAL = { "content-type", "cache-control", "location", "retry-after", "www-authenticate", "x-mfa-action", "x-mfa-location" }
local READABLE = "X-MFA-Action, X-MFA-Location, WWW-Authenticate"

-- HAProxy counts a header's values from 0.
local function values (headers, name)
  local list = {}
  local given = headers[name]
  for i = 0, given and #given or -1 do list[#list + 1] = given[i] end
  return list
end

-- Only the token of what the client sent.
local function question (txn)
  local headers = txn.http:req_get_headers()
  local path = txn.f:pathq()
  local said = {
    ["accept"]             = values(headers, "accept"),
    ["x-forwarded-proto"]  = { txn:get_var("txn.proto") },
    ["x-forwarded-host"]   = values(headers, "host"),
    ["x-forwarded-uri"]    = #path <= LONGEST and { path } or {},
    ["x-forwarded-method"] = { txn.f:method() },
    ["x-forwarded-for"]    = { txn.f:src() }
  }
  for _, name in ipairs(TOKENS) do said[name] = values(headers, name) end
  return { url = QUESTION .. (txn:get_var("txn.asked") or ""), timeout = TIMEOUT_MS, headers = said }
end

local function refuse (txn, status, headers, body)
  local reply = txn:reply({ status = status, body = body })
  for _, name in ipairs(REFUSAL) do
    for _, value in ipairs(values(headers, name)) do reply:add_header(name, value) end
  end
  local origin = txn:get_var("txn.origin")
  if origin then
    reply:add_header("access-control-allow-origin", origin)
    reply:add_header("access-control-expose-headers", READABLE)
  end
  txn:done(reply)
end

core.register_action("mfa", { "http-req" }, function (txn)
  local answer = core.httpclient():get(question(txn))
  local status = answer and answer.status or 0
  if status == 200 then
    for _, name in ipairs(IDENTITY) do
      local value = values(answer.headers, name)[1]
      if value == nil then return end
      txn.http:req_set_header(name, value)
    end
    txn:set_var("txn.mfa", "allow")
  elseif status == 302 or status == 401 or status == 403 or status == 431 then
    refuse(txn, status, answer.headers, answer.body)
  else
    -- haproxy.cfg answers 503.
    txn:Warning("mfa: the service answered " .. (status == 0 and "nothing" or status))
  end
end)
