"""Frequent first names, which alone name nobody in particular."""

COMMON = frozenset(
    """aaron abigail abraham adam adele agatha agnes al alan albert alec alex alexander alexandra
    alfred alice alicia alison allen alyssa amanda amber amy andrea andrew andy angela anita ann
    anna anne anthony antonio april arnold arthur ashley audrey austin barbara barry beatrice ben
    benjamin bernard beth betty bill billy blake bob bobby bonnie brad bradley brandon brenda brent
    brett brian bruce bryan caleb cameron carl carla carlos carmen carol caroline carrie casey
    catherine cathy charles charlie charlotte chelsea chloe chris christian christina christine
    christopher cindy claire clara clarence claude clyde cody colin connie connor craig crystal
    curtis cynthia dale dan daniel danny darren dave david dawn dean debbie deborah debra dennis
    derek diana diane dominic don donald donna doris dorothy doug douglas duncan dustin dylan earl
    ed eddie edgar edith edmund eduardo edward edwin eileen elaine eleanor elizabeth ellen emily
    emma eric erica erik ernest esther ethan eugene eva evan evelyn fernando fiona florence frances
    francis frank franklin fred frederick gary gavin gemma gene geoffrey george gerald gina glen
    glenn gloria gordon grace graham greg gregory guy hannah harold harriet harry harvey heather
    helen henry herbert holly howard hugh ian ira irene isaac isabel isabella jack jackie jacob
    jacqueline jake james jamie jan jane janet janice jason jay jean jeff jeffrey jennifer jenny
    jeremy jerome jerry jesse jessica jill jim jimmy joan joanna joe joel john johnny jon jonathan
    jordan jorge jose joseph joshua joyce juan judith judy julia julian julie justin karen karl kate
    katherine kathleen kathryn kathy katie keith kelly ken kenneth kenny kevin kim kimberly kirk
    kristen kyle larry laura lauren laurence lawrence lee leo leon leonard leslie lewis liam lillian
    linda lisa liz lloyd logan lois lori louis louise lucas lucy luis luke lynn madison manuel
    marcus margaret maria marie marilyn mario marion mark martha martin marvin mary mason matt
    matthew maurice max megan melanie melissa melvin michael micheal michelle miguel mike mildred
    miranda mitchell molly monica morgan nancy naomi natalie nathan neil nicholas nick nicole nigel
    noah norma norman oliver olivia oscar pamela patricia patrick paul paula pauline pedro peggy
    penny peter phil philip phillip phyllis rachel ralph ray raymond rebecca reginald rhonda ricardo
    richard rick ricky rita robert roberta robin rodney roger roland ron ronald rosa rose roy
    russell ruth ryan sally sam samantha samuel sandra sandy sara sarah scott sean sebastian sergio
    seth shane shannon sharon shaun shawn sheila shirley simon sophia sophie stacy stanley stella
    stephanie stephen steve steven stewart stuart sue susan suzanne sylvia tamara tanya tara ted
    teresa terry theodore theresa thomas tim timothy tina todd tom tommy tony tracy travis trevor
    troy tyler valerie vanessa vera vernon veronica vicki victor victoria vincent viola violet
    virginia vivian wallace walter wanda warren wayne wendy wesley william willie winston yvonne
    zachary zoe johann ludwig wolfgang friedrich franz hans pierre jacques marcel henri michel
    giovanni giuseppe vincenzo pablo vladimir ivan sergei mikhail nikolai boris igor
    dmitri leonardo""".split()
)
