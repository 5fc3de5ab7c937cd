return { tests = { function() while true do end end } }
